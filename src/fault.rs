//! What can go wrong, and the one table of codes.
//!
//! A [`Fault`] is what a failed attempt says about itself; an [`ErrorCode`] is why a request was
//! refused. Owns the codes, whom each blames, and which HTTP status and exit code it becomes.
//! It knows neither HTTP nor the command line beyond those numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Who has to act so that a failed run can succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The analysis: its code, its input or its limits.
    Analysis,
    /// The rules an administrator set.
    Policy,
    /// The machine that ran it.
    Host,
    /// What is kept: ciphertexts, keys, modules.
    Store,
}

macro_rules! codes {
    ($(#[$of_type:meta])* $name:ident: $($variant:ident $text:literal => $about:literal;)*) => {
        $(#[$of_type])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $(#[doc = $about] $variant,)* }

        impl $name {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $about),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

codes! {
    /// Why an attempt failed.
    FaultCode:
    TimeLimit "time_limit" => "The analysis ran, slept or waited longer than its wall time.";
    MemoryLimit "memory_limit" => "The analysis asked for more memory or table space than its limit.";
    ResultLimit "result_limit" => "The result is larger than the limit.";
    ScratchLimit "scratch_limit" => "The scratch directory holds more bytes or files than it may.";
    EnvironmentLimit "environment_limit" => "The environment would hold too many keys or bytes.";
    Trap "trap" => "The module stopped at a WebAssembly trap.";
    Exit "exit" => "The command ended with an exit code other than 0.";
    Error "error" => "The analysis returned an error.";
    InvalidResult "invalid_result" => "The result is not JSON.";
    BuildFailed "build_failed" => "The script that was uploaded does not build; the run never began.";
    Inactive "inactive" => "The analysis was switched off before the run started.";
    ExternalDisabled "external_disabled" => "The analysis runs outside, and no administrator has enabled that for it.";
    NoListener "no_listener" => "No listener outside came for the run in time.";
    SecretUnreadable "secret_unreadable" => "A granted secret, or stored input, does not open.";
    ModuleUnreadable "module_unreadable" => "The module's bytes are missing or differ from their digest.";
    Cancelled "cancelled" => "Somebody called the run off.";
    Stopped "stopped" => "The host stopped before the run ended; the run went back to the queue.";
    Lost "lost" => "The host stopped while the run was under way.";
    Internal "internal" => "The runner itself failed.";
}

impl FaultCode {
    /// Who has to act.
    pub const fn blame(self) -> Blame {
        match self {
            Self::TimeLimit
            | Self::MemoryLimit
            | Self::ResultLimit
            | Self::ScratchLimit
            | Self::EnvironmentLimit
            | Self::Trap
            | Self::Exit
            | Self::Error
            | Self::InvalidResult
            | Self::BuildFailed
            | Self::NoListener => Blame::Analysis,
            Self::Inactive | Self::Cancelled | Self::ExternalDisabled => Blame::Policy,
            Self::SecretUnreadable | Self::ModuleUnreadable => Blame::Store,
            Self::Stopped | Self::Lost | Self::Internal => Blame::Host,
        }
    }

    /// The exit code of a command whose run ended so.
    pub const fn exit_code(self) -> u8 {
        match self.blame() {
            Blame::Analysis => 1,
            Blame::Policy => 3,
            Blame::Store => 5,
            Blame::Host => 70,
        }
    }
}

codes! {
    /// Why a request was refused.
    ErrorCode:
    InvalidRequest "invalid_request" => "The request is malformed or breaks a rule; the message says which.";
    InvalidPolicy "invalid_policy" => "A target or a permission is not one that can ever match.";
    InvalidModule "invalid_module" => "The upload is not a module that the runner can run.";
    InvalidScript "invalid_script" => "The script does not build; the message says where and what to do.";
    NoModule "no_module" => "The analysis has no module yet.";
    InactiveAnalysis "inactive_analysis" => "The analysis is switched off.";
    InactiveDevice "inactive_device" => "The device is switched off.";
    NotSupported "not_supported" => "The original has this; this version of the runner does not.";
    Unauthenticated "unauthenticated" => "No token was sent, or it is not valid.";
    InvalidSignature "invalid_signature" => "The request to a webhook is not signed as it must be.";
    Denied "denied" => "The token is valid, but neither its role nor a policy allows this.";
    NotFound "not_found" => "There is no such thing.";
    AnalysisNotFound "analysis_not_found" => "There is no such analysis.";
    MethodNotAllowed "method_not_allowed" => "The path exists, but not with this method.";
    AlreadyExists "already_exists" => "Something with this key or name exists.";
    Conflict "conflict" => "Somebody else changed it at the same time; read it and try again.";
    Protected "protected" => "A deletion-protection tag forbids it.";
    ChainTooDeep "chain_too_deep" => "Runs caused one another in too long a chain.";
    KeyReused "idempotency_key_reused" => "The idempotency key was used for another request.";
    QueueFull "queue_full" => "Too many runs of the analysis wait already; try again later.";
    TooManyRequests "too_many_requests" => "A run or a token asks for more at once than it may; the message says what to wait for.";
    TooLarge "too_large" => "The body is larger than the limit.";
    StoreUnreadable "store_unreadable" => "The data directory, its format or its keys cannot be read.";
    CannotVerify "cannot_verify" => "The secret that a webhook is checked with cannot be used; the action's fault says why.";
    Unavailable "unavailable" => "The server cannot take this now; try again.";
    Unreachable "unreachable" => "The server does not answer.";
    InternalError "internal_error" => "The runner itself failed; its log has the reason.";
}

impl ErrorCode {
    /// The HTTP status of an answer with this code.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidRequest
            | Self::InvalidPolicy
            | Self::InvalidModule
            | Self::InvalidScript
            | Self::NoModule
            | Self::InactiveAnalysis
            | Self::InactiveDevice
            | Self::NotSupported
            | Self::Protected
            // As in the original.
            | Self::AnalysisNotFound => 400,
            Self::Unauthenticated | Self::InvalidSignature | Self::Denied => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::ChainTooDeep => 409,
            Self::TooLarge => 413,
            Self::KeyReused => 422,
            Self::QueueFull | Self::TooManyRequests => 429,
            Self::StoreUnreadable | Self::InternalError => 500,
            Self::CannotVerify | Self::Unavailable | Self::Unreachable => 503,
        }
    }

    /// The exit code of a command that was refused so.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Unauthenticated | Self::InvalidSignature | Self::Denied => 4,
            Self::StoreUnreadable => 5,
            Self::CannotVerify
            | Self::Unavailable
            | Self::Unreachable
            | Self::QueueFull
            | Self::TooManyRequests => 6,
            Self::InternalError => 70,
            _ => 3,
        }
    }
}

/// What a failed attempt says about itself.
///
/// The message is for people and has passed the redactor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The stable code; it also says whom to blame.
    pub code: FaultCode,
    /// What happened and what to do, in plain words.
    pub message: String,
}

impl Fault {
    /// A fault with this code and message.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fault = serializer.serialize_struct("Fault", 3)?;
        fault.serialize_field("blame", &self.code.blame())?;
        fault.serialize_field("code", &self.code)?;
        fault.serialize_field("message", &self.message)?;
        fault.end()
    }
}

/// The table of codes as Markdown, as it stands in `docs/errors.md`.
pub fn table() -> String {
    let mut text = String::from("| fault | blame | exit code | meaning |\n|---|---|---|---|\n");
    for code in FaultCode::ALL {
        let blame = serde_json::to_value(code.blame()).unwrap_or_default();
        let blame = blame.as_str().unwrap_or_default();
        text += &format!("| `{code}` | {blame} | {} | {} |\n", code.exit_code(), code.meaning());
    }
    text += "\n| error | HTTP status | exit code | meaning |\n|---|---|---|---|\n";
    for code in ErrorCode::ALL {
        let (status, exit) = (code.http_status(), code.exit_code());
        text += &format!("| `{code}` | {status} | {exit} | {} |\n", code.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_its_text_form() {
        for code in FaultCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }

    #[test]
    fn a_refused_request_is_never_a_server_error() {
        for code in ErrorCode::ALL {
            let ours = matches!(
                code,
                ErrorCode::StoreUnreadable
                    | ErrorCode::InternalError
                    | ErrorCode::CannotVerify
                    | ErrorCode::Unavailable
                    | ErrorCode::Unreachable
            );
            assert_eq!(code.http_status() >= 500, ours, "{code}");
        }
    }
}
