//! Tests of `stage::shipped`: what is in the binary is what is in `stages/`.

use std::{collections::BTreeSet, fs};

use toolexpander::stage::{BuiltinKind, shipped};

#[test]
fn the_binary_holds_every_file_of_the_stages_folder() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/stages");
    let mut on_disk = BTreeSet::new();
    for kind in fs::read_dir(root).unwrap() {
        let kind = kind.unwrap();
        // `shared` holds templates that pipelines may name; it is no kind.
        if !kind.path().join("stage.toml").exists() {
            continue;
        }
        let name = kind.file_name().into_string().unwrap();
        for file in fs::read_dir(kind.path()).unwrap() {
            let file = file.unwrap();
            on_disk.insert((name.clone(), file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
        }
    }
    let mut embedded = BTreeSet::new();
    for kind in shipped::KINDS {
        embedded.insert((kind.name.to_owned(), "stage.toml".to_owned(), kind.manifest.as_bytes().to_vec()));
        for (file, bytes) in kind.files {
            embedded.insert((kind.name.to_owned(), (*file).to_owned(), bytes.to_vec()));
        }
    }
    assert_eq!(
        embedded.iter().map(|(kind, file, _)| (kind, file)).collect::<Vec<_>>(),
        on_disk.iter().map(|(kind, file, _)| (kind, file)).collect::<Vec<_>>()
    );
    assert!(embedded == on_disk);
}

#[test]
fn every_builtin_kind_is_shipped_and_found_by_its_name() {
    for kind in BuiltinKind::ALL {
        assert!(shipped::kind(kind.name()).is_some(), "{} has no manifest", kind.name());
        assert_eq!(BuiltinKind::from_name(kind.name()).unwrap(), *kind);
    }
    assert!(shipped::KINDS.windows(2).all(|pair| pair[0].name < pair[1].name));
    let error = BuiltinKind::from_name("mine_hard").unwrap_err().to_string();
    assert!(error.contains("did you mean `mine-hard`?"), "{error}");
}
