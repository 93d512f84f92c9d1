//! Tests of `StageCtx::fetch`: nothing here needs a network beyond this machine.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
};

use camino::{Utf8Path, Utf8PathBuf};
use toolexpander::{
    base::{Digest, Seed},
    record::{REQUEST_FORMAT, StageEvent, StageRequest},
    stage::{Fetched, StageCtx, StageError},
};

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.folder.path().join(name)).unwrap()
    }

    fn file(&self, name: &str, text: &[u8]) -> Utf8PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn wheel(&self) -> Utf8PathBuf {
        let path = self.path("made-1.0-py3-none-any.whl");
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, text) in
            [("made/data/a.json", "{\"a\":1}"), ("made/data/sub/b.json", "{}"), ("made/data.py", "x = 1")]
        {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    fn fetch(&self, source: &str, member: Option<&str>, pinned: Option<&str>) -> Result<(Fetched, String), StageError> {
        let mut request = StageRequest {
            schema_version: REQUEST_FORMAT,
            stage: "data".into(),
            kind: "prepare-data".into(),
            key: Digest::of(b"key"),
            params: Default::default(),
            inputs: Default::default(),
            files: Default::default(),
            outputs: Default::default(),
            scratch: self.path("scratch"),
            seed: Seed(0),
            threads: 1,
            memory_gb: None,
            project: Utf8PathBuf::new(),
            allow_unsandboxed: false,
        };
        match source.strip_prefix("path:") {
            Some(path) => drop(request.files.insert("source".into(), path.into())),
            None => drop(request.params.insert("source".into(), toolexpander::base::Value::Text(source.into()))),
        }
        let mut fact = String::new();
        let listen = |event| {
            if let StageEvent::Fact { name, value } = event {
                fact = format!("{name} = {value}");
            }
        };
        let fetched = StageCtx::new(request, Box::new(listen)).fetch("source", member, pinned)?;
        Ok((fetched, fact))
    }

    fn fails(&self, source: &str, member: Option<&str>, pinned: Option<&str>) -> String {
        let error = self.fetch(source, member, pinned).unwrap_err();
        error.full_message().replace(self.path("").as_str(), "TMP/")
    }
}

#[test]
fn a_path_is_taken_as_it_is_and_its_digest_said() {
    let place = Place::new();
    let file = place.file("data/rows.jsonl", b"{}\n");
    let (fetched, fact) = place.fetch(&format!("path:{file}"), None, None).unwrap();
    assert_eq!((fetched.path.as_path(), fetched.digest), (file.as_path(), Digest::of(b"{}\n")));
    assert_eq!(fact, format!("source-digest = {}", Digest::of(b"{}\n")));
    assert_eq!(fetched.origin, "path:rows.jsonl");
    let folder = format!("path:{}", place.path("data"));
    let (member, _) = place.fetch(&folder, Some("rows.jsonl"), None).unwrap();
    assert_eq!(member.path, file);
    insta::assert_snapshot!(place.fails(&folder, Some("row.jsonl"), None), @"path:data: does not hold `row.jsonl`; it holds, among others: rows.jsonl");
    insta::assert_snapshot!(place.fails(&folder, Some("../secret"), None), @"path:data: `../secret` leads out of it; name a path inside, without `..`");
}

#[test]
fn a_folders_digest_depends_on_names_and_bytes_only() {
    let (one, two) = (Place::new(), Place::new());
    for (place, names) in [(&one, ["a", "b/c"]), (&two, ["b/c", "a"])] {
        names.iter().for_each(|name| drop(place.file(&format!("data/{name}"), name.as_bytes())));
    }
    let digest = |place: &Place| place.fetch(&format!("path:{}", place.path("data")), None, None).unwrap().0.digest;
    assert_eq!(digest(&one), digest(&two));
    two.file("data/b/c", b"changed");
    assert_ne!(digest(&one), digest(&two));
}

#[test]
fn a_pinned_digest_must_be_met() {
    let place = Place::new();
    let source = format!("path:{}", place.file("rows.jsonl", b"one"));
    place.fetch(&source, None, Some(&Digest::of(b"one").to_string())).unwrap();
    insta::assert_snapshot!(place.fails(&source, None, Some(&Digest::of(b"two").to_string())), @"parameter `digest`: path:rows.jsonl has the content digest d33fb48ab5adff269ae172b29a6913ff04f6f266207a7a8e976f2ecd571d4492, the pipeline pins dc770fff53f50835f8cc957e01c0d5731d3c2ed544c375493a28c09be5e09763: the source has changed");
    insta::assert_snapshot!(place.fails(&source, None, Some("abc")), @"parameter `digest`: `abc` is no digest: expected 64 hexadecimal digits");
}

#[test]
fn members_of_a_wheel_are_unpacked() {
    let place = Place::new();
    let wheel = format!("path:{}", place.wheel());
    let (file, _) = place.fetch(&wheel, Some("made/data/a.json"), None).unwrap();
    assert_eq!(fs::read_to_string(&file.path).unwrap(), "{\"a\":1}");
    let (folder, _) =
        Place::new().fetch(&wheel, Some("made/data"), None).map(|(fetched, fact)| (fetched.path, fact)).unwrap();
    assert!(folder.ends_with("made/data"));
    insta::assert_snapshot!(place.fails(&wheel, Some("made/data/c.json"), None), @"path:made-1.0-py3-none-any.whl: does not hold `made/data/c.json`; it holds, among others: made/data/a.json, made/data/sub/b.json");
    place.file("broken.whl", b"PK\x03\x04 and nothing");
    let error = place.fails(&format!("path:{}", place.path("broken.whl")), None, None);
    assert!(error.starts_with("path:broken.whl: is not readable as a zip archive"), "{error}");
}

#[test]
fn a_folder_member_does_not_take_files_whose_names_begin_alike() {
    let place = Place::new();
    let wheel = format!("path:{}", place.wheel());
    let (folder, _) = place.fetch(&wheel, Some("made/data"), None).unwrap();
    assert!(folder.path.join("sub/b.json").exists());
    assert!(!folder.path.with_file_name("data.py").exists());
}

/// Serves one file to everybody, on this machine.
fn serve(body: &'static [u8], claimed: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap();
            let found = String::from_utf8_lossy(&request[..count]).starts_with("GET /rows.jsonl");
            let status = if found { "200 OK" } else { "404 Not Found" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {claimed}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    format!("url:http://{address}")
}

#[test]
fn a_url_is_downloaded() {
    let place = Place::new();
    let source = serve(b"{\"id\":1}\n", 9);
    let (fetched, _) = place.fetch(&format!("{source}/rows.jsonl?x=1"), None, None).unwrap();
    assert_eq!(fs::read(&fetched.path).unwrap(), b"{\"id\":1}\n");
    assert!(Utf8Path::new(&fetched.path).ends_with("scratch/fetched/source/rows.jsonl"));
    let missing = place.fails(&format!("{source}/other"), None, None);
    assert!(missing.contains("404"), "{missing}");
    let cut = place.fails(&format!("{}/rows.jsonl", serve(b"{\"id\"", 9)), None, None);
    assert!(cut.starts_with("failed to fetch"), "{cut}");
}

#[test]
fn what_is_no_source_is_an_error() {
    let place = Place::new();
    insta::assert_snapshot!(place.fails("bfcl-eval", None, None), @"parameter `source`: `bfcl-eval` is no source to fetch: expected `path:…`, `pip:NAME==VERSION`, `hf:OWNER/NAME` or `url:https://…`");
    insta::assert_snapshot!(place.fails("pip:bfcl-eval", None, None), @"failed to fetch `pip:bfcl-eval`: a package needs an exact version: `pip:NAME==VERSION`");
}
