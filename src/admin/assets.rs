//! The panel's style sheet, script and icon.
//!
//! Each is served under a name with its digest in it, so that a browser may keep it for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::error::Refused;
use crate::analysis::Digest;

/// One file.
pub struct Asset {
    path: String,
    kind: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Digest::of(bytes).to_string();
        let path = format!("/admin/assets/{name}.{}.{ending}", &digest[..16]);
        Self { path, kind, bytes }
    }

    /// Its address.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// The style sheet.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("panel", "css", "text/css; charset=utf-8", include_bytes!("assets/panel.css"))
});

/// The script. Every page works without it, but for what is shown before a form is sent.
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let kind = "text/javascript; charset=utf-8";
    Asset::new("panel", "js", kind, include_bytes!("assets/panel.js"))
});

/// The icon of the browser's tab.
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("assets/icon.svg")));

/// Serves a file under its very name.
pub async fn asset(Path(name): Path<String>) -> Response {
    let wanted = |asset: &&Asset| asset.path.strip_prefix("/admin/assets/") == Some(&name);
    let Some(asset) = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(wanted) else {
        let message = format!("there is no file {name:.100}; open the page again");
        return Refused::new(StatusCode::NOT_FOUND, message).into_response();
    };
    let headers =
        [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.bytes).into_response()
}
