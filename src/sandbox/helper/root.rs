//! The file tree that the program sees: a bare one that holds the policy's paths at their places, and nothing else.
//!
//! Everything is mounted read-only but the working folder and the temporary folder. `/proc` shows the namespace's own
//! processes; there is no `/sys`; `/dev` holds devices without state.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    },
};

use super::{Setback, landlock::DEVICES, missing, refused, system};
use crate::sandbox::Policy;

/// Where the new root is put for the moment in which it is not yet the root; one of them is there everywhere.
const FOOTHOLDS: &[&str] = &["/tmp", "/mnt", "/run", "/var"];

/// The most symbolic links on the way to one path, as in the kernel.
const MOST_LINKS: usize = 40;

/// Links in `/dev` that programs take for granted.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Where paths really are, and the links on the way.
#[derive(Debug, Default)]
struct Places {
    trees: BTreeSet<Utf8PathBuf>,
    links: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
}

impl Places {
    /// Follows a path, and keeps each link that it meets.
    fn follow(&mut self, path: &Utf8Path) -> Result<Utf8PathBuf, Setback> {
        let mut links = 0;
        let mut left: Vec<String> = parts(path);
        let mut reached = Utf8PathBuf::from("/");
        while let Some(part) = left.pop() {
            if part == ".." {
                reached.pop();
                continue;
            }
            let here = reached.join(part);
            let about = here.symlink_metadata().map_err(refused(format!("show `{path}` to the program")))?;
            if !about.is_symlink() {
                reached = here;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(refused(format!("show `{path}` to the program"))("too many symbolic links"));
            }
            let target = here.read_link_utf8().map_err(refused(format!("read the link `{here}`")))?;
            if target.is_absolute() {
                reached = Utf8PathBuf::from("/");
            }
            left.extend(parts(&target));
            self.links.insert(here, target);
        }
        Ok(reached)
    }

    fn covers(&self, path: &Utf8Path) -> bool {
        self.trees.iter().any(|tree| path.starts_with(tree))
    }
}

/// The components of a path, last first.
fn parts(path: &Utf8Path) -> Vec<String> {
    let names = path.components().filter(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::ParentDir));
    let mut parts: Vec<String> = names.map(|part| part.as_str().to_owned()).collect();
    parts.reverse();
    parts
}

/// Makes the tree and moves into it. Returns the working folder's place in it.
pub(super) fn enter(policy: &Policy) -> Result<Utf8PathBuf, Setback> {
    let mut places = Places::default();
    for path in &policy.readable {
        let real = places.follow(path)?;
        places.trees.insert(real);
    }
    let workdir = places.follow(&policy.workdir)?;
    let temporary = policy.temporary.as_deref().map(|path| places.follow(path)).transpose()?;
    let nested: Vec<_> = places.trees.iter().filter(|tree| outer(&places.trees, tree)).cloned().collect();
    places.trees.retain(|tree| !nested.contains(tree));

    let quiet = system::MOUNT_READ_ONLY | system::MOUNT_NO_SUID;
    let mut mounts = Vec::new();
    for tree in &places.trees {
        mounts.push((tree.clone(), copy(tree, quiet | system::MOUNT_NO_DEVICES)?));
    }
    for device in DEVICES.iter().map(Utf8PathBuf::from).filter(|device| device.exists()) {
        let mount = copy(&device, quiet)?;
        mounts.push((device, mount));
    }
    let ours = system::MOUNT_NO_SUID | system::MOUNT_NO_DEVICES;
    mounts.push((workdir.clone(), copy(&workdir, ours)?));
    if let Some(temporary) = &temporary {
        mounts.push((temporary.clone(), copy(temporary, ours)?));
        if !places.covers("/tmp".into()) && !temporary.starts_with("/tmp") && !workdir.starts_with("/tmp") {
            mounts.push(("/tmp".into(), copy(temporary, ours)?));
        }
    }
    let processes = file_system(c"proc", MountAttrFlags::empty())?;
    bound_processes(processes.as_fd(), policy.processes);
    system::mount_flags(processes.as_fd(), system::MOUNT_READ_ONLY, false).map_err(missing("restrict `/proc`"))?;
    mounts.push(("/proc".into(), processes));

    let root = file_system(c"tmpfs", MountAttrFlags::empty())?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(missing("keep mounts to itself"))?;
    let foothold = FOOTHOLDS.iter().find(|path| Utf8Path::new(path).is_dir()).unwrap_or(&"/proc");
    attach(root.as_fd(), CWD, foothold).map_err(missing("attach the new root"))?;
    for (path, mount) in &mounts {
        let place = prepare(root.as_fd(), path, rustix::fs::fstat(mount).is_ok_and(|about| is_folder(about.st_mode)))?;
        attach(mount.as_fd(), root.as_fd(), &place).map_err(missing(format!("attach `{path}`")))?;
    }
    let device_links = DEVICE_LINKS.iter().map(|(link, target)| (Utf8Path::new(link), Utf8Path::new(target)));
    let links = places.links.iter().map(|(link, target)| (link.as_path(), target.as_path()));
    for (link, target) in links.filter(|(link, _)| !places.covers(link)).chain(device_links) {
        folders(root.as_fd(), link)?;
        match rustix::fs::symlinkat(target.as_str(), &root, below(link)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(missing(format!("make the link `{link}`"))(error)),
        }
    }
    rustix::process::fchdir(&root).map_err(missing("enter the new root"))?;
    rustix::process::pivot_root(".", ".").map_err(missing("change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(missing("leave the old root"))?;
    system::mount_flags(root.as_fd(), quiet, false).map_err(missing("make the root read-only"))?;
    rustix::process::chdir("/").map_err(missing("enter the root"))?;
    Ok(workdir)
}

/// Returns whether the tree lies in another one.
fn outer(trees: &BTreeSet<Utf8PathBuf>, tree: &Utf8Path) -> bool {
    tree.ancestors().skip(1).any(|above| trees.contains(above))
}

fn is_folder(mode: u32) -> bool {
    rustix::fs::FileType::from_raw_mode(mode).is_dir()
}

/// Takes a copy of the tree at a path, mounted nowhere yet.
fn copy(path: &Utf8Path, flags: u64) -> Result<OwnedFd, Setback> {
    let how = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let mount =
        rustix::mount::open_tree(CWD, path.as_str(), how).map_err(missing(format!("copy the mount of `{path}`")))?;
    system::mount_flags(mount.as_fd(), flags, true).map_err(missing(format!("restrict the mount of `{path}`")))?;
    Ok(mount)
}

/// The kernel gives no process of a namespace an id below this one again after all have been given once.
const RESERVED_IDS: u32 = 300;

/// Leaves the namespace few process ids, so that a bomb of root's, which no limit of the kernel's binds, stays small until the
/// supervisor has seen it. Linux has that since 6.14; before, the bomb is larger for the moment.
fn bound_processes(proc: BorrowedFd<'_>, most: u32) {
    // Anywhere but in a namespace of its own it would be the whole machine's limit.
    if std::process::id() != 1 {
        return;
    }
    let limit = (RESERVED_IDS + most + 64).to_string();
    let file = rustix::fs::openat(proc, "sys/kernel/pid_max", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    if let Ok(file) = file {
        let _ = rustix::io::write(&file, limit.as_bytes());
    }
}

/// Makes a file system of its own kind, mounted nowhere yet.
fn file_system(kind: &std::ffi::CStr, flags: MountAttrFlags) -> Result<OwnedFd, Setback> {
    let make = || -> Result<OwnedFd, Errno> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        if kind == c"tmpfs" {
            rustix::mount::fsconfig_set_string(context.as_fd(), "mode", "0755")?;
            rustix::mount::fsconfig_set_string(context.as_fd(), "size", "1m")?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        let safe =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags | safe)
    };
    make().map_err(missing(format!("mount a {} of its own", kind.to_string_lossy())))
}

fn attach(mount: BorrowedFd<'_>, to: BorrowedFd<'_>, place: &str) -> Result<(), Errno> {
    rustix::mount::move_mount(mount, "", to, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// The path from the root on.
fn below(path: &Utf8Path) -> &str {
    path.as_str().trim_start_matches('/')
}

/// Makes the folders above a path.
fn folders(root: BorrowedFd<'_>, path: &Utf8Path) -> Result<(), Setback> {
    let mut above: Vec<&Utf8Path> = path.ancestors().skip(1).filter(|above| above.parent().is_some()).collect();
    above.reverse();
    above.into_iter().try_for_each(|folder| folder_at(root, folder))
}

fn folder_at(root: BorrowedFd<'_>, folder: &Utf8Path) -> Result<(), Setback> {
    match rustix::fs::mkdirat(root, below(folder), Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(missing(format!("make the folder `{folder}`"))(error)),
    }
}

/// Makes the file or folder that a mount goes onto.
fn prepare(root: BorrowedFd<'_>, path: &Utf8Path, folder: bool) -> Result<String, Setback> {
    if path.parent().is_none() {
        return Err(refused("show `/` to the program")("name the folders that it needs"));
    }
    folders(root, path)?;
    if folder {
        folder_at(root, path)?;
    } else {
        let made = rustix::fs::openat(root, below(path), OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o444));
        // In a read-only tree the file is there already, or attaching will say that it is not.
        drop(made);
    }
    Ok(below(path).to_owned())
}
