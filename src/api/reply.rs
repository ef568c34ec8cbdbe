//! The envelope of every answer, and what a refusal becomes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::analysis::{InvalidLimits, InvalidRetry, InvalidVariable};
use crate::device::{InvalidDevice, InvalidRecord};
use crate::fault::{ErrorCode, FaultCode};
use crate::pipeline::{DataError, PrintError, RequestError, UploadError};
use crate::policy::InvalidPolicy;
use crate::script::{BuildError, InvalidSource};
use crate::store;
use crate::tag::InvalidTags;
use crate::vault::{self, InvalidSecret};

/// An answer that is not an error: `{"status": true, "result": …}`.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    /// Always true.
    status: bool,
    /// What was asked for.
    result: T,
    #[serde(skip)]
    http: StatusCode,
}

impl<T: Serialize> Success<T> {
    /// Status 200.
    pub fn ok(result: T) -> Self {
        Self { status: true, result, http: StatusCode::OK }
    }

    /// Status 201: something was made.
    pub fn created(result: T) -> Self {
        Self { status: true, result, http: StatusCode::CREATED }
    }

    /// Status 503: the answer is that the server cannot do its work now.
    pub fn unavailable(result: T) -> Self {
        Self { status: true, result, http: StatusCode::SERVICE_UNAVAILABLE }
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        (self.http, Json(self)).into_response()
    }
}

/// What handlers return.
pub type Answer<T> = Result<Success<T>, Refusal>;

/// A refused request: `{"status": false, "message": …, "code": …}`.
#[derive(Debug)]
pub struct Refusal {
    /// The stable code; it decides the HTTP status.
    pub code: ErrorCode,
    /// What was wrong and what to do.
    pub message: String,
}

/// The body of a refusal, for the API's description.
#[derive(Serialize, ToSchema)]
pub struct Failure {
    /// Always false.
    status: bool,
    /// What was wrong and what to do.
    message: String,
    /// A stable word for it.
    #[schema(schema_with = super::description::codes)]
    code: String,
}

/// The longest message in bytes: messages quote requests, which may be long.
const MAX_MESSAGE: usize = 2_000;

impl Refusal {
    /// A refusal with this code and message; one that is too long is cut.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        Self { code, message }
    }

    /// A malformed request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// A failure of the runner itself: the reason goes to the log, not to the caller.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(ErrorCode::InternalError, "the runner failed; its log has the reason")
    }

    /// The disk takes no more.
    fn disk_full() -> Self {
        let message = "the disk is full or cannot be written; nothing was changed";
        Self::new(ErrorCode::Unavailable, message)
    }

    /// The body.
    pub fn body(&self) -> Value {
        json!({"status": false, "message": self.message, "code": self.code})
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.http_status());
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self.body())).into_response()
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Exists => Self::new(ErrorCode::AlreadyExists, "it exists already"),
            store::Error::NotFound => Self::new(ErrorCode::NotFound, "it does not exist"),
            store::Error::Nul | store::Error::Url | store::Error::TooManyVariables => {
                Self::invalid(error.to_string())
            }
            store::Error::QueueFull => Self::new(ErrorCode::QueueFull, error.to_string()),
            store::Error::Full => Self::disk_full(),
            store::Error::OtherRequest => Self::new(ErrorCode::KeyReused, error.to_string()),
            store::Error::Contended => Self::new(ErrorCode::Conflict, error.to_string()),
            store::Error::Unreachable => Self::new(
                ErrorCode::Unavailable,
                "the database cannot be reached; what was sent may or may not have been stored",
            ),
            store::Error::Closed => Self::new(ErrorCode::Unavailable, "the runner is stopping"),
            store::Error::Damaged(detail) => {
                tracing::error!(%detail, "the store is damaged");
                Self::new(ErrorCode::StoreUnreadable, format!("the store is damaged: {detail}"))
            }
            other => Self::internal(&chain(&other)),
        }
    }
}

/// An error with its causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

impl From<vault::Error> for Refusal {
    fn from(error: vault::Error) -> Self {
        Self::new(ErrorCode::StoreUnreadable, error.to_string())
    }
}

impl From<InvalidTags> for Refusal {
    fn from(error: InvalidTags) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidSecret> for Refusal {
    fn from(error: InvalidSecret) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidVariable> for Refusal {
    fn from(error: InvalidVariable) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidLimits> for Refusal {
    fn from(error: InvalidLimits) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidRetry> for Refusal {
    fn from(error: InvalidRetry) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidDevice> for Refusal {
    fn from(error: InvalidDevice) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<InvalidRecord> for Refusal {
    fn from(error: InvalidRecord) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<DataError> for Refusal {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Vault(error) => error.into(),
            DataError::Store(store::Error::NotFound) => {
                Self::new(ErrorCode::NotFound, "Device Not Found")
            }
            DataError::Store(error) => error.into(),
        }
    }
}

impl From<InvalidPolicy> for Refusal {
    fn from(error: InvalidPolicy) -> Self {
        Self::new(ErrorCode::InvalidPolicy, error.to_string())
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Inactive => {
                Self::new(ErrorCode::InactiveAnalysis, RequestError::Inactive.to_string())
            }
            RequestError::NoModule => {
                Self::new(ErrorCode::NoModule, RequestError::NoModule.to_string())
            }
            RequestError::InvalidModule(error) => {
                Self::new(ErrorCode::InvalidModule, error.to_string())
            }
            RequestError::Compile(error) => error.into(),
            RequestError::NotEnded(_) | RequestError::Outside => Self::invalid(error.to_string()),
            RequestError::ChainTooDeep(_) => Self::new(ErrorCode::ChainTooDeep, error.to_string()),
            RequestError::Vault(error) => error.into(),
            RequestError::Store(error) => error.into(),
        }
    }
}

impl From<PrintError> for Refusal {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::NoRun => Self::invalid(error.to_string()),
            PrintError::Environment(fault) if fault.code == FaultCode::Inactive => {
                Self::new(ErrorCode::InactiveAnalysis, fault.message)
            }
            PrintError::Environment(fault) => Self::new(ErrorCode::StoreUnreadable, fault.message),
            PrintError::Vault(error) => error.into(),
            PrintError::Store(error) => error.into(),
        }
    }
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Invalid(error) => Self::new(ErrorCode::InvalidModule, error.to_string()),
            UploadError::Source(error @ InvalidSource::TooLarge { .. }) => {
                Self::new(ErrorCode::TooLarge, error.to_string())
            }
            UploadError::Source(error) => Self::new(ErrorCode::InvalidScript, error.to_string()),
            UploadError::TooLarge(_) => Self::new(ErrorCode::TooLarge, error.to_string()),
            UploadError::Build(error) => match &error {
                BuildError::NoEngine => Self::new(ErrorCode::NotSupported, error.to_string()),
                BuildError::Host(error) => Self::internal(&chain(error)),
                error => Self::new(ErrorCode::InvalidScript, error.to_string()),
            },
            UploadError::Compile(error) => error.into(),
            UploadError::Modules(error) if error.is_disk_full() => Self::disk_full(),
            UploadError::Modules(error) => Self::internal(&chain(&error)),
            UploadError::Store(error) => error.into(),
        }
    }
}

impl From<crate::sandbox::CompileError> for Refusal {
    fn from(error: crate::sandbox::CompileError) -> Self {
        if error.is_of_module() {
            Self::new(ErrorCode::InvalidModule, error.to_string())
        } else {
            Self::internal(&chain(&error))
        }
    }
}
