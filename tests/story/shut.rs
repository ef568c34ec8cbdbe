//! What keeps a store shut: its root key, its folder and its format. The real binary says why,
//! and leaves everything as it was.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::harness::Place;
use super::secrets::{VALUE, on_disk};

/// Every file below a folder, with its mode and its bytes.
fn picture(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let metadata = fs::symlink_metadata(&path).expect("its metadata");
        let mode = metadata.permissions().mode();
        if metadata.is_dir() {
            files.extend(picture(&path));
        }
        let bytes = fs::read(&path).unwrap_or_default();
        files.insert(path.display().to_string(), (mode, bytes));
    }
    files
}

/// A store made by the real binary, with one secret.
fn store() -> Place {
    let place = Place::alone();
    let create = ["secret", "create", "KEY", "--tag", "team=red", "--value-stdin"];
    place.run_with(create, VALUE).ok();
    place
}

/// Commands that need the store.
const COMMANDS: [&[&str]; 3] = [
    &["serve", "--listen", "127.0.0.1:0"],
    &["secret", "list"],
    &["secret", "create", "OTHER", "--tag", "a=b", "--value-stdin"],
];

/// Checks that the place's commands are refused so, and that nothing on the disk changes.
#[track_caller]
fn must_refuse(place: &Place, code: i32, messages: &[&str]) {
    let parent = place.root_key().parent().expect("a folder").to_owned();
    let before = picture(&parent);
    for command in COMMANDS {
        let ended = place.run_with(command, VALUE);
        let said = ended.stderr();
        assert_eq!(ended.code(), code, "{command:?}: {said}");
        for message in messages {
            assert!(said.contains(message), "{command:?} lacks {message:?}: {said}");
        }
        assert!(said.starts_with("error: ") && ended.stdout().is_empty(), "{command:?}: {said}");
        let after = picture(&parent);
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{command:?}"
        );
        assert!(after == before, "{command:?} changed a file");
    }
}

#[test]
fn a_missing_root_key_keeps_the_store_shut_and_is_not_made_anew() {
    let place = store();
    let aside = place.root_key().with_extension("aside");
    fs::rename(place.root_key(), &aside).expect("it is moved");
    let path = place.root_key().display().to_string();
    must_refuse(&place, 5, &["there is no root key at", &path, "put back the file"]);
    assert!(!place.root_key().exists());
    fs::rename(aside, place.root_key()).expect("it is moved back");
    assert!(place.run(["secret", "list"]).ok().contains("KEY"));
}

#[test]
fn a_wrong_root_key_keeps_the_store_shut() {
    let place = store();
    let other = store();
    let right = fs::read(place.root_key()).expect("the key");
    fs::copy(other.root_key(), place.root_key()).expect("a copy");
    must_refuse(&place, 5, &["root key"]);
    for content in [&b"not a key"[..], b"", &right[..20]] {
        fs::write(place.root_key(), content).expect("it is written");
        must_refuse(&place, 5, &["does not hold a root key"]);
    }
    fs::write(place.root_key(), right).expect("it is written");
    assert!(place.run(["secret", "list"]).ok().contains("KEY"));
}

#[test]
fn a_root_key_that_others_may_read_keeps_the_store_shut() {
    let place = store();
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(place.root_key(), Permissions::from_mode(mode)).expect("a mode");
        must_refuse(&place, 5, &["open to other users", "chmod 600"]);
    }
    fs::set_permissions(place.root_key(), Permissions::from_mode(0o600)).expect("a mode");
    assert!(place.run(["secret", "list"]).ok().contains("KEY"));
    // A store is not even begun with such a key.
    let fresh = Place::new();
    fs::copy(place.root_key(), fresh.root_key()).expect("a copy");
    fs::set_permissions(fresh.root_key(), Permissions::from_mode(0o644)).expect("a mode");
    must_refuse(&fresh, 5, &["open to other users", "chmod 600"]);
}

#[test]
fn a_root_key_inside_the_data_directory_is_refused() {
    let refused = |place: &Place, root_key: &Path| {
        let around = place.root_key().parent().expect("a folder").to_owned();
        let before = picture(&around);
        let mut command = place.command(["secret", "list"]);
        let output = command.env("RUNNER_ROOT_KEY", root_key).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{}: {said}", root_key.display());
        assert!(said.contains("inside the data directory"), "{}: {said}", root_key.display());
        assert!(picture(&around) == before, "{} changed something", root_key.display());
    };
    let made = store();
    for place in [&Place::new(), &made] {
        for inside in ["root.key", "keys/root.key", "../data/./root.key"] {
            refused(place, &place.data().join(inside));
        }
    }
    let link = made.data().with_file_name("link");
    std::os::unix::fs::symlink(made.data(), &link).expect("a link");
    refused(&made, &link.join("root.key"));
}

#[test]
fn the_root_key_and_the_data_directory_are_the_owners_alone() {
    let place = store();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&place.root_key()), 0o600);
    assert_eq!(mode(&place.data()), 0o700);
    let key = fs::read_to_string(place.root_key()).expect("the key is text");
    assert_eq!(key.trim_end().len(), 44);
    assert!(!on_disk(&place, key.trim_end().as_bytes()));
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(place.data(), Permissions::from_mode(mode)).expect("a mode");
        must_refuse(&place, 5, &["so others can reach it", "chmod 700"]);
    }
    fs::set_permissions(place.data(), Permissions::from_mode(0o700)).expect("a mode");
    assert!(place.run(["secret", "list"]).ok().contains("KEY"));
}

#[test]
fn a_newer_or_unknown_format_is_refused() {
    let place = store();
    let file = place.data().join("FORMAT");
    let ours = fs::read_to_string(&file).expect("the format");
    let newer = ours.trim().parse::<u32>().expect("a number") + 1;
    fs::write(&file, format!("{newer}\n")).expect("it is written");
    must_refuse(&place, 5, &[&format!("has format {newer}"), "Upgrade the runner"]);
    for text in ["", "one", "0", "-1"] {
        fs::write(&file, text).expect("it is written");
        must_refuse(&place, 5, &["does not hold a format number"]);
    }
    fs::write(&file, ours).expect("it is written");
    assert!(place.run(["secret", "list"]).ok().contains("KEY"));
}

#[test]
fn a_data_directory_that_is_none_is_refused() {
    let place = Place::new();
    fs::write(place.data(), "a file").expect("a file");
    must_refuse(&place, 5, &["cannot be used"]);
}
