//! What a script imports, read before the engine sees it.

use oxc_allocator::Allocator;
use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression};
use oxc_parser::Parser;
use oxc_semantic::{Semantic, SemanticBuilder};
use oxc_span::{GetSpan as _, SourceType, Span};

use super::known;
use super::place::{Mistakes, add_errors};

/// Checks that plain JavaScript can be read and that all it imports is there.
pub(super) fn check(name: &str, text: &str) -> Result<(), String> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, SourceType::unambiguous()).parse();
    let mut mistakes = Mistakes::new(name, text);
    add_errors!(mistakes, parsed.diagnostics);
    if parsed.panicked {
        return mistakes.check();
    }
    for (specifier, requests) in &parsed.module_record.requested_modules {
        if let Some(why) = known::missing(specifier) {
            requests.iter().for_each(|request| mistakes.add(request.span.start, why.clone()));
        }
    }
    let built = SemanticBuilder::new().with_build_nodes(true).build(&parsed.program);
    for node in built.semantic.nodes().iter() {
        let imported = match node.kind() {
            AstKind::ImportExpression(import) => literal(&import.source),
            AstKind::CallExpression(call) if is_require(call, &built.semantic) => {
                call.arguments.first().and_then(Argument::as_expression).and_then(literal)
            }
            _ => continue,
        };
        let Some((specifier, span)) = imported else { continue };
        if let Some(why) = known::missing(specifier) {
            mistakes.add(span.start, why);
        }
    }
    mistakes.check()
}

/// Whether this calls the engine's `require`. Bundles may bring one of their own.
fn is_require(call: &CallExpression<'_>, semantic: &Semantic<'_>) -> bool {
    matches!(&call.callee, Expression::Identifier(callee) if callee.name == "require"
        && semantic.is_reference_to_global_variable(callee))
}

fn literal<'a>(expression: &'a Expression<'_>) -> Option<(&'a str, Span)> {
    match expression {
        Expression::StringLiteral(text) => Some((text.value.as_str(), text.span())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        check("a.js", text).unwrap_err()
    }

    #[test]
    fn known_imports_pass() {
        let text = "import { Analysis } from 'runner';\nimport x from \"@tago-io/sdk\";\n\
                    export * from 'node:util';\nawait import('node:crypto');\n\
                    import.meta.url; import(x);";
        check("a.js", text).unwrap();
        check("a.cjs", "const { Analysis } = require('@tago-io/sdk'); require(x)").unwrap();
    }

    #[test]
    fn unknown_imports_are_named_with_their_place() {
        let text = "import a from 'runner';\nimport fs from 'node:fs';\n\
                    const b = await import('./b.js');\n  require('axios');";
        let refused = refusal(text);
        let lines: Vec<_> = refused.lines().collect();
        assert_eq!(lines.len(), 3, "{refused}");
        assert!(lines[0].starts_with("a.js:2:16: there is no node:fs here"), "{refused}");
        assert!(lines[1].starts_with("a.js:3:24: \"./b.js\" is another file"), "{refused}");
        assert!(lines[2].starts_with("a.js:4:11: \"axios\" is an npm package"), "{refused}");
    }

    #[test]
    fn a_require_of_the_scripts_own_is_not_an_import() {
        check("a.js", "function require(x) { return x } require('axios')").unwrap();
    }

    #[test]
    fn what_cannot_be_parsed_says_where() {
        assert!(refusal("let a = 1;\nlet b = ;\n").starts_with("a.js:2:9: "));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = check("a.js", &text);
        }

        #[test]
        fn no_text_of_javascripts_own_characters_panics(
            text in "(import|export|from|require|await|async|[a-c ]|[(){}\\[\\];,.'\"`$\\n/*=>:?!<]){0,40}",
        ) {
            let _ = check("a.js", &text);
        }
    }
}
