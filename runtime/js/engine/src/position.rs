//! Places in the script, as QuickJS writes them into the stack of an error.

use rquickjs::{Ctx, Exception};

use crate::state;

/// Where the script is now, as `file:line:column`.
pub fn here(ctx: &Ctx<'_>) -> Option<String> {
    let stack = Exception::from_message(ctx.clone(), "").ok()?.stack()?;
    first(&stack)
}

/// The first place of a stack that lies in the script.
pub fn first(stack: &str) -> Option<String> {
    state::with(|state| {
        stack.lines().find_map(|line| within(line, &state.script)).map(str::to_owned)
    })
}

/// The lines of a stack that lie in the script, in the words of the stack.
pub fn frames(stack: &str) -> Vec<String> {
    state::with(|state| {
        let ours = |line: &&str| within(line, &state.script).is_some();
        stack.lines().filter(ours).map(|line| line.trim().to_owned()).collect()
    })
}

/// The `file:line:column` of one line of a stack, where it lies in the file.
fn within<'a>(line: &'a str, file: &str) -> Option<&'a str> {
    let place = line.rsplit(['(', ' ']).next()?.trim_end_matches(')');
    let rest = place.strip_prefix(file)?.strip_prefix(':')?;
    rest.starts_with(|c: char| c.is_ascii_digit()).then_some(place)
}
