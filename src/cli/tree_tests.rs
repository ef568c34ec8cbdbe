//! The tree of commands as a whole.

use clap::{CommandFactory, Parser};

use super::{Cli, Command};

fn walk(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
    let path = format!("{path} {}", command.get_name());
    visit(&path, command);
    for sub in command.get_subcommands() {
        walk(sub, &path, visit);
    }
}

#[test]
fn the_tree_is_sound_and_every_word_of_it_is_explained() {
    Cli::command().debug_assert();
    let mut root = Cli::command();
    root.build();
    walk(&root, "", &mut |path, command| {
        assert!(command.get_about().is_some(), "{path} has no text");
        for arg in command.get_arguments() {
            let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!text.is_empty(), "{path} {} has no text", arg.get_id());
        }
    });
}

#[test]
fn no_argument_takes_a_secret_value_or_a_token() {
    let takes_a_value = |command: &clap::Command| -> Vec<String> {
        let args = command.get_arguments().filter(|arg| arg.get_action().takes_values());
        args.map(|arg| arg.get_id().to_string()).collect()
    };
    let allowed = [
        "key",
        "tags",
        "set",
        "unset",
        "secret",
        "exposure",
        "hosts",
        "places",
        "algorithms",
        "value_file",
        "data",
        "profile",
        "server",
        "root_key",
        "store",
        "config",
    ];
    let mut root = Cli::command();
    root.build();
    walk(&root, "", &mut |path, command| {
        for id in takes_a_value(command) {
            let secret = path.contains(" secret ") && !path.contains(" help");
            assert!(!secret || allowed.contains(&id.as_str()), "{path} takes {id}");
            let of_tokens = path.contains(" runner token");
            assert!(of_tokens || !id.contains("token"), "{path} takes {id}");
        }
    });
}

#[test]
fn nouns_are_singular_and_have_the_same_verbs() {
    let root = Cli::command();
    for noun in ["secret", "analysis", "policy", "action", "device", "token", "profile", "user"] {
        let command = root.find_subcommand(noun).expect(noun);
        for verb in ["create", "list", "show", "edit", "delete"] {
            assert!(command.find_subcommand(verb).is_some(), "{noun} {verb}");
        }
    }
}

#[test]
fn global_flags_stand_before_and_after_the_command() {
    for line in ["runner --json secret list", "runner secret list --json"] {
        assert!(Cli::try_parse_from(line.split(' ')).unwrap().global.json, "{line}");
    }
    let serve = Cli::try_parse_from("runner serve --insecure-http".split(' ')).unwrap();
    assert!(serve.global.insecure_http);
    let Command::Serve(args) = serve.command else { panic!("{:?}", serve.command) };
    assert_eq!(args.listen, None);
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for line in [
        "",
        "fly",
        "secret",
        "secret create",
        "exec",
        "exec --env A=b",
        "secret show",
        "run start a b",
    ] {
        let words = ["runner"].into_iter().chain(line.split_whitespace());
        assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
    }
}
