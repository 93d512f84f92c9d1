//! Which paths a program needs in order to run at all. Only looks; the policy decides.

use camino::{Utf8Path, Utf8PathBuf};

/// Where systems keep programs and libraries, and the few files of `/etc` that say which ones are meant.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/nix/store",
    "/gnu/store",
    "/etc/ssl/openssl.cnf",
];

/// Returns the paths of the system's own programs and libraries that exist on this machine.
///
/// They hold what the distribution ships, not what people keep; programs below `/usr/local` and `/opt`-like folders
/// elsewhere need [`of_program`].
pub fn system() -> Vec<Utf8PathBuf> {
    SYSTEM.iter().map(Utf8PathBuf::from).filter(|path| path.exists()).collect()
}

/// Returns what a program outside the system's folders needs: itself, and where it lies in the `bin` of an installation
/// (`PREFIX/bin/python3`, a virtual environment, a Node.js folder), the whole of the installation, at both ends of a
/// symbolic link.
pub fn of_program(program: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let real = program.canonicalize_utf8().unwrap_or_else(|_| program.to_owned());
    for place in [program, &real] {
        let path = installation(place).unwrap_or(place);
        if !found.iter().any(|known: &Utf8PathBuf| path.starts_with(known)) {
            found.push(path.to_owned());
        }
    }
    found
}

fn installation(program: &Utf8Path) -> Option<&Utf8Path> {
    let folder = program.parent().filter(|folder| folder.file_name() == Some("bin"))?;
    // `/bin/sh` is no installation below `/`.
    folder.parent().filter(|prefix| prefix.parent().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_the_folder_above_bin_but_never_the_root() {
        assert_eq!(installation("/opt/venv/bin/python".into()), Some(Utf8Path::new("/opt/venv")));
        assert_eq!(installation("/bin/sh".into()), None);
        assert_eq!(installation("/opt/tool/serve".into()), None);
        assert_eq!(of_program("/no/such/program".into()), ["/no/such/program"]);
    }
}
