//! Requests over HTTP.
//!
//! ```no_run
//! use runner_analysis::{Context, Value, http};
//!
//! fn run(context: &Context, _scope: Value) -> Result<Value, String> {
//!     let key = context.environment.require("API_KEY")?;
//!     let answer = http::get("https://api.example.com/readings")
//!         .query("limit", "10")
//!         .header("X-Api-Key", key)
//!         .send()?
//!         .error_for_status()?;
//!     Ok(answer.json()?)
//! }
//! ```
//!
//! A call waits for the whole answer. The runner lets a request out only where a policy allows the
//! analysis `access` on `["network", "host", "<host>"]`; what it says when it does not is the text
//! of the [`Error`]. Redirects are followed, each as a request of its own and so checked as one;
//! another origin gets no header that may hold a secret.
//!
//! Outside of WebAssembly nothing is sent: [`Request::send`] returns an error that says so.

mod address;
mod error;
mod redirect;
mod request;
mod response;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod transport;

pub use error::Error;
pub use request::{DEFAULT_TIMEOUT, MAX_REDIRECTS, Request};
pub use response::Response;

/// A GET request.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A HEAD request.
pub fn head(url: impl Into<String>) -> Request {
    Request::new("HEAD", url)
}

/// A POST request.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

/// A PUT request.
pub fn put(url: impl Into<String>) -> Request {
    Request::new("PUT", url)
}

/// A PATCH request.
pub fn patch(url: impl Into<String>) -> Request {
    Request::new("PATCH", url)
}

/// A DELETE request.
pub fn delete(url: impl Into<String>) -> Request {
    Request::new("DELETE", url)
}
