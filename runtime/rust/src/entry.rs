//! From the component's entry to the author's function and back.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exports::runner::analysis::entry;
use crate::{Context, Environment};

impl From<entry::Context> for Context {
    fn from(context: entry::Context) -> Self {
        let environment = context.environment.into_iter();
        Self {
            analysis_id: context.analysis_id,
            run_id: context.run_id,
            token: context.token,
            environment: environment.map(|entry| (entry.key, entry.value)).collect::<Environment>(),
        }
    }
}

/// Runs `analysis` once. Only [`analysis!`](crate::analysis) calls it.
pub fn enter<S, R, E>(
    analysis: impl FnOnce(&Context, S) -> Result<R, E>,
    context: entry::Context,
    scope: &str,
) -> Result<Option<String>, String>
where
    S: DeserializeOwned,
    R: Serialize,
    E: Display,
{
    let scope = serde_json::from_str(scope)
        .map_err(|error| format!("the scope is not what this analysis expects: {error}"))?;
    let result = analysis(&context.into(), scope).map_err(|error| error.to_string())?;
    let result = serde_json::to_string(&result)
        .map_err(|error| format!("the result cannot be written as JSON: {error}"))?;
    Ok((result != "null").then_some(result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::bindings::runner::analysis::types::Variable;

    fn context() -> entry::Context {
        entry::Context {
            analysis_id: "a".repeat(24),
            run_id: "b".repeat(24),
            token: String::new(),
            environment: vec![Variable { key: "KEY".into(), value: "value".into() }],
        }
    }

    #[test]
    fn context_and_scope_go_in_and_the_result_comes_out_as_json() {
        let run = |context: &Context, scope: Vec<u32>| -> Result<_, String> {
            let key = context.environment.require("KEY")?;
            Ok((context.analysis_id.len(), key.to_owned(), scope.iter().sum::<u32>()))
        };
        assert_eq!(enter(run, context(), "[1, 2, 3]"), Ok(Some(r#"[24,"value",6]"#.into())));
    }

    #[test]
    fn nothing_to_say_is_no_result() {
        let run = |_: &Context, _: Value| Ok::<_, String>(());
        assert_eq!(enter(run, context(), "[]"), Ok(None));
    }

    #[test]
    fn an_error_keeps_its_text() {
        let run = |_: &Context, _: Value| Err::<(), _>("the pump is off");
        assert_eq!(enter(run, context(), "[]"), Err("the pump is off".into()));
    }

    #[test]
    fn a_scope_of_another_shape_is_an_error_that_says_so() {
        let run = |_: &Context, _: Vec<u32>| Ok::<_, String>(());
        for scope in [r#"{"a":1}"#, "", r#"["x"]"#] {
            let error = enter(run, context(), scope).unwrap_err();
            assert!(error.starts_with("the scope is not what this analysis expects: "), "{error}");
        }
    }
}
