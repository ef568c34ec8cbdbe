//! Why a request has no answer that can be used.

use std::fmt;

/// What went wrong with a request. Its text is for people, and holds no query of an address: that
/// is a place where secrets stand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be sent as it is: the address, a header or the body.
    Invalid(String),
    /// The runner refused it, or it failed on its way; the runner's own words.
    Failed(String),
    /// It took longer than it may.
    Timeout(String),
    /// More redirects than [`MAX_REDIRECTS`](super::MAX_REDIRECTS).
    TooManyRedirects(String),
    /// An answer with a status of 400 or more, of
    /// [`error_for_status`](super::Response::error_for_status).
    Status {
        /// The address that answered, without its query.
        url: String,
        /// Its status.
        status: u16,
    },
    /// The answer's body is not what was expected.
    Body(String),
}

impl Error {
    /// The same error, with the request that it is about.
    pub(super) fn about(self, request: &str) -> Self {
        match self {
            Self::Invalid(text) => Self::Invalid(format!("{request}: {text}")),
            Self::Failed(text) => Self::Failed(format!("{request}: {text}")),
            Self::Timeout(text) => Self::Timeout(format!("{request}: {text}")),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) | Self::Failed(text) | Self::Timeout(text) | Self::Body(text) => {
                f.write_str(text)
            }
            Self::TooManyRedirects(url) => {
                write!(f, "{url} redirects more than {} times", super::MAX_REDIRECTS)
            }
            Self::Status { url, status } => write!(f, "{url} answered {status}"),
        }
    }
}

impl std::error::Error for Error {}

/// So that `?` works in an analysis whose error is a text.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
