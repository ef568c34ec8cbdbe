//! Reading an uploaded module or script from a request, bounded while it streams.
//!
//! TagoIO's clients send the file as base64 inside JSON. The file's string is decoded as it
//! arrives, so neither the body nor its base64 text is ever held as a whole.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body;
use super::reply::Refusal;
use crate::fault::ErrorCode;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most bytes of JSON around the file.
const MAX_REST: usize = 64 << 10;

/// How much base64 text is decoded at a time; a multiple of 4.
const CHUNK: usize = 4 << 10;

/// A file as it was uploaded.
pub struct Upload {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// The file's name, if the client gave one.
    pub file_name: Option<String>,
    /// What the client says that it is written in.
    pub language: Option<String>,
    /// Whether it came in the original's JSON form.
    pub original_form: bool,
}

/// The JSON form.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadForm)]
pub struct Form {
    /// The file, as base64. It is taken out while it arrives: here it is empty.
    file: String,
    file_name: Option<String>,
    /// What it is written in, where its name does not say so.
    language: Option<String>,
}

/// The content types of a body that is the file itself; any other is the original's JSON form.
/// TypeScript, which has no type of its own, comes by that of JavaScript.
const FILES: [&str; 2] = ["application/wasm", "text/javascript"];

/// Reads a file of at most `limit` bytes.
pub async fn read(request: Request, limit: usize) -> Result<Upload, Refusal> {
    let longest = body::LONGEST_WITH_MODULE;
    let reading = tokio::time::timeout(longest, receive(request, limit)).await;
    reading.map_err(|_| body::too_slow(longest))?
}

async fn receive(request: Request, limit: usize) -> Result<Upload, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_file = |kind: &str| FILES.iter().any(|file| kind.starts_with(file));
    let original_form = !kind.is_some_and(is_file);
    let mut body = request.into_body();
    let mut json = JsonFile::new(limit);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid("the upload was cut short"))?;
        let Ok(data) = frame.into_data() else { continue };
        if original_form {
            json.push(&data)?;
        } else if bytes.len() + data.len() > limit {
            return Err(too_large(limit));
        } else {
            bytes.extend_from_slice(&data);
        }
    }
    if !original_form {
        return Ok(Upload { bytes, file_name: None, language: None, original_form });
    }
    let (bytes, rest) = json.finish()?;
    let rest: Form = body::parse(&rest)?;
    if !rest.file.is_empty() {
        return Err(Refusal::invalid("the field `file` must stand at the top of the body, once"));
    }
    let Form { file_name, language, .. } = rest;
    Ok(Upload { bytes, file_name, language, original_form })
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the file is larger than this analysis's limit of {limit} bytes");
    Refusal::new(ErrorCode::TooLarge, message)
}

/// Where the reader stands in the JSON text.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Between,
    String { escaped: bool, key: bool },
    File { escaped: bool },
}

/// Takes the string of the top-level field `file` out of JSON text and decodes it.
struct JsonFile {
    limit: usize,
    at: At,
    depth: usize,
    after_colon: bool,
    key: Vec<u8>,
    /// The JSON text with an empty string where the file was.
    rest: Vec<u8>,
    base64: Vec<u8>,
    file: Option<Vec<u8>>,
}

impl JsonFile {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            at: At::Between,
            depth: 0,
            after_colon: false,
            key: Vec::new(),
            rest: Vec::new(),
            base64: Vec::with_capacity(CHUNK),
            file: None,
        }
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Refusal> {
        for byte in data {
            match self.at {
                At::File { escaped } => self.file_byte(*byte, escaped)?,
                At::String { escaped, key } => {
                    self.at = match byte {
                        _ if escaped => At::String { escaped: false, key },
                        b'\\' => At::String { escaped: true, key },
                        b'"' => At::Between,
                        _ => self.at,
                    };
                    if key && self.at != At::Between {
                        self.key.push(*byte);
                    }
                    self.keep(*byte)?;
                }
                At::Between => self.between(*byte)?,
            }
        }
        Ok(())
    }

    fn between(&mut self, byte: u8) -> Result<(), Refusal> {
        match byte {
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if self.depth == 1 => self.after_colon = true,
            b',' if self.depth == 1 => self.after_colon = false,
            b'"' => {
                let key = self.depth == 1 && !self.after_colon;
                if key {
                    self.key.clear();
                }
                let is_file = self.depth == 1 && self.after_colon && self.key == b"file";
                self.at = if is_file && self.file.is_none() {
                    self.file = Some(Vec::new());
                    At::File { escaped: false }
                } else {
                    At::String { escaped: false, key }
                };
            }
            _ => {}
        }
        self.keep(byte)
    }

    fn keep(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.rest.len() >= MAX_REST {
            return Err(Refusal::invalid("the body has too much text around the field `file`"));
        }
        self.rest.push(byte);
        Ok(())
    }

    fn file_byte(&mut self, byte: u8, escaped: bool) -> Result<(), Refusal> {
        match byte {
            b'"' if !escaped => {
                self.decode()?;
                self.at = At::Between;
                return self.keep(byte);
            }
            b'\\' if !escaped => {
                self.at = At::File { escaped: true };
                return Ok(());
            }
            // Some encoders write / as \/; no other escape stands for a base64 character.
            b'/' => self.base64.push(byte),
            _ if escaped => return Err(not_base64()),
            _ => self.base64.push(byte),
        }
        self.at = At::File { escaped: false };
        if self.base64.len() == CHUNK {
            self.decode()?;
        }
        Ok(())
    }

    fn decode(&mut self) -> Result<(), Refusal> {
        let file = self.file.get_or_insert_default();
        BASE64.decode_vec(&self.base64, file).map_err(|_| not_base64())?;
        self.base64.clear();
        if file.len() > self.limit { Err(too_large(self.limit)) } else { Ok(()) }
    }

    fn finish(self) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        if let At::File { .. } = self.at {
            return Err(Refusal::invalid("the upload was cut short inside the field `file`"));
        }
        let missing = || Refusal::invalid("the body needs the field `file`: the file as base64");
        match self.file {
            Some(file) => Ok((file, self.rest)),
            // Whatever else is wrong with the body is said first.
            None => {
                Err(body::parse::<serde::de::IgnoredAny>(&self.rest).err().unwrap_or_else(missing))
            }
        }
    }
}

fn not_base64() -> Refusal {
    Refusal::invalid("the field `file` is not base64")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extract(json: &str, limit: usize, step: usize) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let mut reader = JsonFile::new(limit);
        for chunk in json.as_bytes().chunks(step) {
            reader.push(chunk)?;
        }
        reader.finish()
    }

    proptest! {
        #[test]
        fn a_file_is_decoded_whatever_the_chunks(
            bytes in prop::collection::vec(any::<u8>(), 0..9_000),
            step in 1_usize..5_000,
            slashes in any::<bool>(),
        ) {
            let mut text = BASE64.encode(&bytes);
            if slashes {
                text = text.replace('/', "\\/");
            }
            let json = format!(r#"{{"file_name":"a \"file\": b","x":{{"file":"no"}},"file":"{text}"}}"#);
            let (file, rest) = extract(&json, 9_000, step).unwrap();
            prop_assert_eq!(file, bytes);
            let rest: serde_json::Value = serde_json::from_slice(&rest).unwrap();
            prop_assert_eq!(&rest["file"], "");
            prop_assert_eq!(&rest["file_name"], "a \"file\": b");
        }

        #[test]
        fn no_body_panics(text in "[\\[\\]{}\":,\\\\fileA=/]{0,60}", step in 1_usize..8) {
            let _ = extract(&text, 100, step);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |json: &str| extract(json, 8, 3).unwrap_err().message;
        assert!(message(r#"{"file":"AAAA"#).contains("cut short"));
        assert!(message(r#"{"file":"A*AA"}"#).contains("not base64"));
        assert!(message(r#"{"file":"AA\nAA"}"#).contains("not base64"));
        assert!(message(r#"{"file_name":"x"}"#).contains("needs the field `file`"));
        assert!(message("not json").contains("not JSON"));
        let large = extract(&format!(r#"{{"file":"{}"}}"#, "A".repeat(16)), 8, 3).unwrap_err();
        assert_eq!(large.code, ErrorCode::TooLarge);
    }
}
