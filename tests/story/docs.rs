//! The docs tell the truth.

use std::fs;

use runner::config::SETTINGS;
use runner::fault;

use crate::harness::{Place, repository};
use crate::hostile;

#[test]
fn the_page_of_errors_is_the_table_in_the_code() {
    let path = repository().join("docs/errors.md");
    let page = fs::read_to_string(&path).expect("docs/errors.md");
    let start = page.find("| fault |").unwrap_or(page.len());
    let right = format!("{}{}", &page[..start], fault::table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, right).expect("docs/errors.md can be written");
    } else {
        assert_eq!(page, right, "run the tests once with UPDATE_DOCS=1");
    }
}

#[test]
fn the_page_of_security_has_every_hostile_guest() {
    let path = repository().join("docs/security.md");
    let page = fs::read_to_string(&path).expect("docs/security.md");
    let start = page.find("| what it does |").unwrap_or(page.len());
    let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
    let right = format!("{}{}{}", &page[..start], hostile::table(), &page[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, right).expect("docs/security.md can be written");
    } else {
        assert_eq!(page, right, "run the tests once with UPDATE_DOCS=1");
    }
}

#[test]
fn every_command_of_the_readme_is_one() {
    let readme = fs::read_to_string(repository().join("README.md")).expect("README.md");
    let place = Place::new();
    let mut checked = 0;
    let lines = readme.lines().map(|line| line.trim().trim_start_matches("$ "));
    for line in lines.filter_map(|line| line.strip_prefix("runner ")) {
        let words = line.split(" #").next().unwrap_or_default().split_whitespace();
        let nouns =
            ["action", "secret", "policy", "analysis", "run", "device", "token", "profile", "user"];
        let mut words = words.take_while(|word| !word.starts_with('-'));
        let Some(command) = words.next() else { continue };
        let mut path = vec![command];
        if nouns.contains(&command) {
            path.extend(words.next());
            if path[1..] == ["variable"] || path == ["device", "token"] {
                path.extend(words.next());
            }
        }
        path.push("--help");
        place.run(&path).ok();
        checked += 1;
    }
    assert!(checked >= 40, "only {checked} commands were found: does the test still see them?");
}

#[test]
fn the_settings_shown_are_all_settings() {
    let place = Place::new();
    let shown = place.run(["config"]).ok();
    // There is no other store, no broker and no private network unless one is named.
    let private = ["outbound_private_ranges", "outbound_hosts", "outbound_ca_file"];
    let named =
        |name: &str| name == "store" || name.starts_with("mqtt_") || private.contains(&name);
    for setting in SETTINGS.iter().filter(|setting| !named(setting.name)) {
        assert!(shown.lines().any(|line| line.starts_with(setting.name)), "{}", setting.name);
    }
}
