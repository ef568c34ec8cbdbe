//! What went wrong, for people.

use rquickjs::{CaughtError, Coerced, Ctx, FromJs, Object, Value};

use crate::hooks::Hooks;
use crate::position;

/// How deep causes are followed.
const CAUSES: usize = 8;

/// An error of the script.
#[derive(Debug)]
pub struct Failure {
    /// What it is.
    text: String,
    /// Where in the script it happened, the innermost place first, in the words of its stack.
    frames: Vec<String>,
    /// The innermost place alone.
    place: Option<String>,
}

impl Failure {
    /// One that has no place.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), frames: Vec::new(), place: None }
    }

    /// The text, and below it the places.
    pub fn with_stack(mut self) -> String {
        for frame in self.frames {
            self.text.push_str("\n    ");
            self.text.push_str(&frame);
        }
        self.text
    }

    /// The innermost place, or else the file, and then the text.
    pub fn with_place(mut self, file: &str) -> String {
        if let Some(place) = self.place.take() {
            self.text.insert_str(0, &format!("{place}: "));
            self.frames.drain(..1.min(self.frames.len()));
        } else {
            self.text.insert_str(0, &format!("{file}: "));
        }
        self.with_stack()
    }
}

/// What a call into JavaScript failed with, where there are no hooks yet.
pub fn of(error: &CaughtError<'_>) -> Failure {
    match error {
        CaughtError::Error(error) => Failure::new(error.to_string()),
        CaughtError::Exception(exception) => {
            thrown(&exception.as_object().clone().into_value(), None)
        }
        CaughtError::Value(value) => thrown(value, None),
    }
}

/// The exception that is pending.
pub fn pending<'js>(ctx: &Ctx<'js>, hooks: &Hooks<'js>) -> Failure {
    thrown(&ctx.catch(), Some(hooks))
}

/// A value that was thrown, or that a promise was rejected with.
pub fn thrown<'js>(value: &Value<'js>, hooks: Option<&Hooks<'js>>) -> Failure {
    // The SDK throws what the API answered as a plain string.
    if let Some(text) = value.as_string() {
        return Failure::new(text.to_string().unwrap_or_default());
    }
    let Some(error) = value.as_object().filter(|object| object.is_error()) else {
        return Failure::new(hooks.map_or_else(|| coerce(value), |hooks| hooks.inspect(value)));
    };
    let stack = text(error, "stack").unwrap_or_default();
    let mut failure = Failure {
        text: headline(error),
        frames: position::frames(&stack),
        place: position::first(&stack),
    };
    let mut next = error.get::<_, Value>("cause").ok();
    for _ in 0..CAUSES {
        let Some(cause) = next.filter(|cause| !cause.is_undefined() && !cause.is_null()) else {
            break;
        };
        let object = cause.as_object().filter(|object| object.is_error());
        let line = match object {
            Some(object) => headline(object),
            None => coerce(&cause),
        };
        // Most causes are in the message already: whoever wraps an error repeats it.
        if !failure
            .text
            .contains(line.split_once(": ").map_or(line.as_str(), |(_, message)| message))
        {
            failure.text.push_str("\ncaused by ");
            failure.text.push_str(&line);
        }
        next = object.and_then(|object| object.get::<_, Value>("cause").ok());
    }
    failure
}

/// The name and message of an error.
fn headline(error: &Object<'_>) -> String {
    let name = text(error, "name").unwrap_or_else(|| "Error".to_owned());
    match text(error, "message") {
        Some(message) if !message.is_empty() && name.is_empty() => message,
        Some(message) if !message.is_empty() => format!("{name}: {message}"),
        _ => name,
    }
}

/// A property that is text.
fn text(object: &Object<'_>, key: &str) -> Option<String> {
    let value = object.get::<_, Value>(key).ok()?;
    value.as_string()?.to_string().ok()
}

fn coerce(value: &Value<'_>) -> String {
    let text = Coerced::<String>::from_js(value.ctx(), value.clone());
    text.map_or_else(|_| "a value that has no text".to_owned(), |text| text.0)
}
