//! The one catalogue: which resource types there are, what can be done to each, and by which
//! selector forms a permission may pick them.
//!
//! The words are TagoIO's Access Management. A new resource type is one row here; nothing else
//! in `policy` names a type or an action.

use std::fmt;

use serde::{Serialize, Serializer};

/// How a selector picks resources.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Form {
    /// Every resource of the type.
    Any,
    /// The one with this id.
    Id,
    /// Those that carry this tag, key and value.
    Tag,
    /// Those that share the value of a tag key; see [`Selector::TagMatch`](super::Selector).
    TagMatch,
    /// Those that a pattern of hosts means.
    Host,
}

impl Form {
    /// The forms for what the store keeps, in the order in which refusals show them.
    pub const STORED: &[Self] = &[Self::Any, Self::Id, Self::Tag, Self::TagMatch];

    /// The forms for hosts.
    pub const NETWORK: &[Self] = &[Self::Any, Self::Host];

    /// The word with which a tuple of this form goes on after the type.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Id => Some("id"),
            Self::Tag => Some("tag.key"),
            Self::TagMatch => Some("tag_match"),
            Self::Host => Some("host"),
        }
    }

    /// How a tuple of this form is written for the type `word`.
    pub fn template(self, word: &str) -> String {
        match self {
            Self::Any => format!(r#"["{word}"]"#),
            Self::Id => format!(r#"["{word}","id","<24 hexadecimal characters>"]"#),
            Self::Tag => format!(r#"["{word}","tag.key","<key>","tag.value","<value>"]"#),
            Self::TagMatch => format!(r#"["{word}","tag_match","<key>"]"#),
            Self::Host => format!(r#"["{word}","host","api.example.com"]"#),
        }
    }
}

/// The row of an action.
struct Verb {
    word: &'static str,
    aliases: &'static [&'static str],
    phrase: &'static str,
}

/// The row of a resource type.
struct Kind {
    word: &'static str,
    aliases: &'static [&'static str],
    one: &'static str,
    many: &'static str,
    actions: &'static [(Action, &'static [Form])],
}

macro_rules! rows {
    ($(#[$of_type:meta])* $name:ident: $row:ident { $($(#[$about:meta])* $variant:ident = $entry:expr;)* }) => {
        $(#[$of_type])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$about])* $variant,)* }

        impl $name {
            /// Every one, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            const fn row(self) -> &'static $row {
                match self { $(Self::$variant => const { &$entry },)* }
            }

            /// The word that is written on the wire and in the store.
            pub const fn word(self) -> &'static str {
                self.row().word
            }

            fn answers_to(self, word: &str) -> bool {
                self.word() == word || self.row().aliases.contains(&word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}

rows! {
    /// What can be done to a resource.
    Action: Verb {
        /// See it and find it in lists. For secrets: have it in the environment, as its value or as
        /// a placeholder. For hosts: send requests to them.
        Access = Verb { word: "access", aliases: &[], phrase: "access to" };
        /// Have the host sign with it, without seeing it.
        Sign = Verb { word: "sign", aliases: &[], phrase: "signing with" };
        /// Make a new one.
        Create = Verb { word: "create", aliases: &[], phrase: "creating" };
        /// Change it.
        Edit = Verb { word: "edit", aliases: &[], phrase: "editing" };
        /// Remove it.
        Delete = Verb { word: "delete", aliases: &[], phrase: "deleting" };
        /// Start a run of it.
        Run = Verb { word: "run", aliases: &["run_analysis"], phrase: "running" };
        /// Give it a new module.
        Upload = Verb {
            word: "upload",
            aliases: &["upload_analysis"],
            phrase: "uploading modules to",
        };
        /// Fetch its module.
        Download = Verb {
            word: "download",
            aliases: &["download_analysis"],
            phrase: "downloading modules of",
        };
        /// See that its tokens exist, make new ones and take them back.
        TokenAccess = Verb { word: "token_access", aliases: &[], phrase: "managing tokens of" };
        /// Read its data.
        GetData = Verb { word: "get_data", aliases: &[], phrase: "reading data of" };
        /// Send data to it.
        SendData = Verb { word: "send_data", aliases: &[], phrase: "sending data to" };
    }
}

/// What is about to be created has no id yet.
const WITHOUT_ID: &[Form] = &[Form::Any, Form::Tag, Form::TagMatch];

rows! {
    /// What a permission can be about.
    ResourceType: Kind {
        /// Secrets. The original's wire word is not public: both spellings are read.
        Secrets = Kind {
            word: "secrets",
            aliases: &["secret"],
            one: "secret",
            many: "secrets",
            actions: &[
                (Action::Access, Form::STORED),
                (Action::Sign, Form::STORED),
                (Action::Create, WITHOUT_ID),
                (Action::Edit, Form::STORED),
                (Action::Delete, Form::STORED),
            ],
        };
        /// Analyses. The only type that targets can have.
        Analysis = Kind {
            word: "analysis",
            aliases: &[],
            one: "analysis",
            many: "analyses",
            actions: &[
                (Action::Access, Form::STORED),
                (Action::Create, WITHOUT_ID),
                (Action::Edit, Form::STORED),
                (Action::Delete, Form::STORED),
                (Action::Run, Form::STORED),
                (Action::Upload, Form::STORED),
                (Action::Download, Form::STORED),
            ],
        };
        /// Actions: what starts analyses by itself.
        Action = Kind {
            word: "action",
            aliases: &[],
            one: "action",
            many: "actions",
            actions: &[
                (Action::Access, Form::STORED),
                (Action::Create, WITHOUT_ID),
                (Action::Edit, Form::STORED),
                (Action::Delete, Form::STORED),
            ],
        };
        /// Policies themselves.
        AccessManagement = Kind {
            word: "access_management",
            aliases: &[],
            one: "policy",
            many: "policies",
            actions: &[
                (Action::Access, Form::STORED),
                (Action::Create, WITHOUT_ID),
                (Action::Edit, Form::STORED),
                (Action::Delete, Form::STORED),
            ],
        };
        /// Devices and their data.
        Device = Kind {
            word: "device",
            aliases: &[],
            one: "device",
            many: "devices",
            actions: &[
                (Action::Access, Form::STORED),
                (Action::Create, WITHOUT_ID),
                (Action::Edit, Form::STORED),
                (Action::Delete, Form::STORED),
                (Action::TokenAccess, Form::STORED),
                (Action::GetData, Form::STORED),
                (Action::SendData, Form::STORED),
            ],
        };
        /// Hosts of the network. They have no ids and no tags.
        Network = Kind {
            word: "network",
            aliases: &[],
            one: "host",
            many: "hosts",
            actions: &[(Action::Access, Form::NETWORK)],
        };
    }
}

impl Action {
    /// The action in a sentence, before the resource: `access to`, `editing`.
    pub const fn phrase(self) -> &'static str {
        self.row().phrase
    }
}

impl ResourceType {
    /// The type that `word` names, in any spelling that is read.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|resource| resource.answers_to(word))
    }

    /// The action of this type that `word` names, in any spelling that is read.
    pub fn action(self, word: &str) -> Option<Action> {
        self.actions().find(|action| action.answers_to(word))
    }

    /// What can be done to resources of this type.
    pub fn actions(self) -> impl Iterator<Item = Action> {
        self.row().actions.iter().map(|(action, _)| *action)
    }

    /// All forms that one of the actions accepts.
    pub const fn all_forms(self) -> &'static [Form] {
        match self {
            Self::Network => Form::NETWORK,
            _ => Form::STORED,
        }
    }

    /// The forms by which a permission for `action` may pick resources of this type; none where
    /// the type has no such action.
    pub fn forms(self, action: Action) -> &'static [Form] {
        let row = self.row().actions.iter().find(|(known, _)| *known == action);
        row.map_or(&[], |(_, forms)| forms)
    }

    /// One resource of this type in a sentence: `secret`.
    pub const fn one(self) -> &'static str {
        self.row().one
    }

    /// Several resources of this type in a sentence: `secrets`.
    pub const fn many(self) -> &'static str {
        self.row().many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_what_it_stands_for() {
        for resource in ResourceType::ALL {
            assert_eq!(ResourceType::from_word(resource.word()), Some(*resource));
            for action in resource.actions() {
                assert_eq!(resource.action(action.word()), Some(action), "{resource} {action}");
            }
        }
    }

    #[test]
    fn no_two_rows_answer_to_the_same_word() {
        fn words(word: &'static str, aliases: &[&'static str]) -> Vec<&'static str> {
            std::iter::once(word).chain(aliases.iter().copied()).collect()
        }
        let types = ResourceType::ALL.iter().flat_map(|r| words(r.word(), r.row().aliases));
        let actions = Action::ALL.iter().flat_map(|a| words(a.word(), a.row().aliases));
        for mut words in [types.collect::<Vec<_>>(), actions.collect::<Vec<_>>()] {
            let all = words.len();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), all);
        }
    }

    #[test]
    fn the_other_spellings_are_read_and_the_short_ones_written() {
        assert_eq!(ResourceType::from_word("secret"), Some(ResourceType::Secrets));
        assert_eq!(ResourceType::Secrets.to_string(), "secrets");
        for (long, short) in [
            ("run_analysis", "run"),
            ("upload_analysis", "upload"),
            ("download_analysis", "download"),
        ] {
            let action = ResourceType::Analysis.action(long);
            assert_eq!(action.map(Action::word), Some(short));
        }
        for unknown in ["", "Secrets", "run_user", "devices", "secrets "] {
            assert_eq!(ResourceType::from_word(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn all_forms_are_those_of_the_actions() {
        for resource in ResourceType::ALL {
            let forms: Vec<_> = resource.actions().flat_map(|a| resource.forms(a)).collect();
            assert!(forms.iter().all(|form| resource.all_forms().contains(form)));
            assert!(resource.all_forms().iter().all(|form| forms.contains(&form)));
        }
    }

    #[test]
    fn an_action_belongs_to_its_types_only() {
        assert_eq!(ResourceType::Secrets.action("run"), None);
        assert_eq!(ResourceType::AccessManagement.action("upload"), None);
        assert_eq!(ResourceType::Action.action("send_data"), None);
        assert!(ResourceType::Secrets.forms(Action::Run).is_empty());
    }

    #[test]
    fn of_what_is_stored_only_create_lacks_the_id_form() {
        for resource in ResourceType::ALL.iter().filter(|r| **r != ResourceType::Network) {
            for action in resource.actions() {
                let by_id = resource.forms(action).contains(&Form::Id);
                assert_eq!(by_id, action != Action::Create, "{resource} {action}");
            }
        }
    }
}
