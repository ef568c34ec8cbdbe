//! Roles: what a token of a person or a service may do in its profile.
//!
//! Owns the one table of which role each thing takes. Analyses have no role: policies decide about
//! them. Who asks, and how a refusal is worded for a request, is not known here.

use crate::policy::{Action, ResourceType};
use crate::words::words;

words! {
    /// What the holder may do. Each role may all that those before it may.
    Role:
    Viewer "viewer" => "Looks at analyses, actions, devices and runs, but not at what was put into them.";
    Developer "developer" => "Writes analyses and starts them, and does not see what policies give them.";
    Administrator "administrator" => "Everything in its profile.";
}

impl Role {
    /// The least role that may do this to resources of a type: the table of roles.
    ///
    /// Secrets and policies are the administrator's as a whole, and so are the tokens of devices.
    /// What is not named here is the administrator's too.
    pub const fn needed(resource: ResourceType, action: Action) -> Self {
        use ResourceType as On;
        match (resource, action) {
            (On::Analysis | On::Action | On::Device, Action::Access)
            | (On::Device, Action::GetData) => Self::Viewer,
            (
                On::Analysis | On::Action | On::Device,
                Action::Create | Action::Edit | Action::Delete,
            )
            | (On::Analysis, Action::Run | Action::Upload | Action::Download)
            | (On::Device, Action::SendData) => Self::Developer,
            _ => Self::Administrator,
        }
    }

    /// Whether the holder may do this to resources of a type.
    pub fn may(self, resource: ResourceType, action: Action) -> bool {
        self >= Self::needed(resource, action)
    }

    /// Whether the holder sees what was put into analyses and runs: the values of variables, and
    /// scopes. Nothing masks those, and people put passwords there too.
    pub fn sees_input(self) -> bool {
        self >= Self::Developer
    }

    /// Whether a module that the holder uploads may have at once what policies grant. That of
    /// others waits until an administrator approves it.
    pub fn approves(self) -> bool {
        self == Self::Administrator
    }

    /// Whose token it takes, in a sentence.
    pub const fn holders(self) -> &'static str {
        match self {
            Self::Viewer => "the token of a viewer, a developer or an administrator",
            Self::Developer => "the token of a developer or an administrator",
            Self::Administrator => "an administrator's token",
        }
    }

    /// The original's word for what such a token may do.
    pub const fn permission(self) -> &'static str {
        match self {
            Self::Viewer => "read",
            Self::Developer => "write",
            Self::Administrator => "full",
        }
    }

    /// The role that the original's word stands for.
    pub fn of_permission(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.permission() == word)
    }

    /// Every role, as messages list them.
    pub fn list() -> String {
        Self::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that can be done, as it is written in policies, with the least role.
    const TABLE: &[(&str, &str, Role)] = &[
        ("secrets", "access sign create edit delete", Role::Administrator),
        ("analysis", "access", Role::Viewer),
        ("analysis", "create edit delete run upload download", Role::Developer),
        ("action", "access", Role::Viewer),
        ("action", "create edit delete", Role::Developer),
        ("access_management", "access create edit delete", Role::Administrator),
        ("device", "access get_data", Role::Viewer),
        ("device", "create edit delete send_data", Role::Developer),
        ("device", "token_access", Role::Administrator),
        ("network", "access", Role::Administrator),
    ];

    #[test]
    fn the_table_says_for_everything_which_role_it_takes() {
        let mut listed = 0;
        for (resource, actions, least) in TABLE {
            let resource = ResourceType::from_word(resource).unwrap();
            for word in actions.split(' ') {
                let action = resource.action(word).unwrap();
                listed += 1;
                for role in Role::ALL {
                    let may = role.may(resource, action);
                    assert_eq!(may, role >= least, "{role} {word} {resource}");
                }
            }
        }
        let all: usize = ResourceType::ALL.iter().map(|resource| resource.actions().count()).sum();
        assert_eq!(listed, all, "something can be done that the table does not list");
    }

    #[test]
    fn a_higher_role_may_all_that_a_lower_one_may() {
        for roles in Role::ALL.windows(2) {
            for resource in ResourceType::ALL {
                for action in resource.actions() {
                    let (lower, higher) =
                        (roles[0].may(*resource, action), roles[1].may(*resource, action));
                    assert!(!lower || higher, "{roles:?} {action} {resource}");
                }
            }
            assert!(roles[1].sees_input() || !roles[0].sees_input());
            assert!(!roles[0].approves(), "{roles:?}");
        }
        assert!(Role::Administrator.approves() && !Role::Viewer.sees_input());
    }

    #[test]
    fn the_words_of_the_original_stand_for_the_roles() {
        for role in Role::ALL {
            assert_eq!(Role::of_permission(role.permission()), Some(*role));
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert_eq!(Role::of_permission("administrator"), None);
        assert_eq!(Role::list(), "viewer, developer, administrator");
    }
}
