//! Taking in, committing, looking up.

use toolexpander::base::ArtifactType;

use super::support::*;

#[test]
fn a_result_comes_back_after_reopening() {
    let place = Place::new();
    let key = digest("key");
    {
        let store = place.open();
        put(&store, key, "hello").wait().unwrap();
        assert_eq!(get(&store, key).unwrap(), b"hello");
    }
    let store = place.open();
    assert_eq!(get(&store, key).unwrap(), b"hello");
    let found = store.by_predicted(&predicted(key)).unwrap();
    assert_eq!(found.key, key);
    assert_eq!(mode(&store.object_path(&digest("hello"))), 0o444);
    let _ = ArtifactType::File;
}
