//! TypeScript without its types: JavaScript whose lines stand where they stood.
//!
//! The transformer says what the JavaScript is. Its print is laid out anew, though, so that no
//! position would be right; therefore the types are overwritten with spaces in the text itself,
//! and that is taken where it reads as the very same program. Where it does not, because the script
//! has enums or other syntax that becomes code, the print is taken, its lines moved back.

use std::path::Path;

use oxc_allocator::Allocator;
use oxc_ast::AstKind;
use oxc_ast::ast::Program;
use oxc_codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::{GetSpan as _, SourceType, Span};
use oxc_transformer::{TransformOptions, Transformer};

use super::blanks::Blanks;
use super::place::{Mistakes, add_errors};

/// Takes the types out of TypeScript.
pub(super) fn strip(name: &str, text: &str) -> Result<String, String> {
    let allocator = Allocator::default();
    let mut mistakes = Mistakes::new(name, text);
    let parsed = Parser::new(&allocator, text, SourceType::ts()).parse();
    add_errors!(mistakes, parsed.diagnostics);
    let mut program = parsed.program;
    let built = SemanticBuilder::new()
        .with_build_nodes(true)
        .with_check_syntax_error(true)
        .with_enum_eval(true)
        .build(&program);
    add_errors!(mistakes, built.diagnostics);
    mistakes.check()?;
    let mut blanks = Blanks::of(text, built.semantic.nodes());
    let scoping = built.semantic.into_scoping();
    let options = TransformOptions::default();
    let transformed = Transformer::new(&allocator, Path::new(name), &options)
        .build_with_scoping(scoping, &mut program);
    let mut mistakes = Mistakes::new(name, text);
    add_errors!(mistakes, transformed.diagnostics);
    mistakes.check()?;
    let printed = Codegen::new().with_options(print_options(name)).build(&program);
    blanks.keep(&program);
    let blanked = blanks.apply(text);
    // Without any import or export left, the transformer marks the module as one.
    let unmarked = printed.code.strip_suffix("export {};\n").unwrap_or(&printed.code);
    if print(name, &blanked).is_some_and(|print| print == printed.code || print == unmarked) {
        return Ok(blanked);
    }
    let lines = printed.map.iter().flat_map(|map| map.get_tokens());
    let lines = lines.map(|token| (token.get_dst_line(), token.get_src_line()));
    Ok(lay_out(&printed.code, lines))
}

fn print_options(name: &str) -> CodegenOptions {
    CodegenOptions {
        comments: CommentOptions::disabled(),
        source_map_path: Some(name.into()),
        ..CodegenOptions::default()
    }
}

/// JavaScript as the transformer's print would have it; nothing where it is not JavaScript.
fn print(name: &str, text: &str) -> Option<String> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, text, SourceType::mjs()).parse();
    let print = |program: &Program<'_>| {
        Codegen::new().with_options(print_options(name)).build(program).code
    };
    (!parsed.diagnostics.has_errors()).then(|| print(&parsed.program))
}

/// Moves the lines of a print to where the map says they come from: a line stands as far down as
/// its source, or beside the line before it if that is further down already.
fn lay_out(code: &str, map: impl Iterator<Item = (u32, u32)>) -> String {
    let fixed = literals(code);
    let mut sources = vec![None; code.matches('\n').count() + 1];
    for (line, source) in map {
        if let Some(first @ None) = sources.get_mut(line as usize) {
            *first = Some(source);
        }
    }
    let mut laid_out = String::with_capacity(code.len());
    let (mut at, mut down) = (0, 0);
    for (line, source) in code.split('\n').zip(sources) {
        if at > 0 {
            let newline = at - 1;
            let source = source.unwrap_or(0);
            if fixed.iter().any(|span| (span.start..span.end).contains(&newline)) {
                laid_out.push('\n');
                down += 1;
            } else if source > down {
                (down..source).for_each(|_| laid_out.push('\n'));
                down = source;
            } else {
                laid_out.push(' ');
            }
        }
        laid_out.push_str(line);
        at += u32::try_from(line.len()).unwrap_or(u32::MAX) + 1;
    }
    laid_out
}

/// The literals of JavaScript that can hold line breaks.
fn literals(code: &str) -> Vec<Span> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::mjs()).parse();
    let built = SemanticBuilder::new().with_build_nodes(true).build(&parsed.program);
    let nodes = built.semantic.nodes().iter().map(|node| node.kind());
    let literal = |kind: &AstKind<'_>| {
        let holds = matches!(kind, AstKind::TemplateElement(_) | AstKind::StringLiteral(_));
        holds && kind.span().source_text(code).contains('\n')
    };
    nodes.filter(literal).map(|kind| kind.span()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stripped(text: &str) -> String {
        strip("a.ts", text).unwrap()
    }

    #[test]
    fn types_become_spaces_and_all_else_stays_in_its_place() {
        for (typed, plain) in [
            ("let a: number = 1;", "let a         = 1;"),
            ("let a!: number;", "let a         ;"),
            (
                "function f<T>(this: X, a?: T): T { return a as T; }",
                "function f   (         a    )    { return a     ; }",
            ),
            ("const g = async <T,>(a: T) => a!;", "const g = async     (a   ) => a ;"),
            ("type A = { b: string };\nf(1);", "                       \nf(1);"),
            ("interface A {\n  b: C\n}\nf();", "             \n      \n \nf();"),
            ("import { type A, B } from 'x';\nB();", "import {         B } from 'x';\nB();"),
            (
                "import { A, B } from 'x';\nlet b: A = B();",
                "import {    B } from 'x';\nlet b    = B();",
            ),
            ("import type { A } from 'x';f()", "                           f()"),
            ("import { A } from 'x';\nlet a: A;", "                      \nlet a   ;"),
            ("export type { A } from 'x';f()", "                           f()"),
            ("declare const a: string;\nf(a)", "                        \nf(a)"),
            ("export interface A {}\nf()", "                     \nf()"),
            ("f<string>(x satisfies Y);", "f        (x            );"),
            ("const a = <any>b;", "const a =      b;"),
            ("for (const a of b as any[]) {}", "for (const a of b         ) {}"),
            ("try {} catch (e: unknown) {}", "try {} catch (e         ) {}"),
            ("function f(a: A): B;\nfunction f(a) {}", "                    \nfunction f(a) {}"),
            (
                "abstract class A<T> extends B<T> implements C, D { private readonly a?: T = 1; declare b: T; abstract c(): void; static override async d?(): T {} [k: string]: T }",
                "         class A    extends B                    {                  a     = 1;                                   static          async d ()    {}                }",
            ),
            ("let x = y as\n  unknown as Z;", "let x = y   \n              ;"),
            ("f(`${a as b}\n`)", "f(`${a     }\n`)"),
        ] {
            assert_eq!(stripped(typed), plain);
        }
    }

    #[test]
    fn syntax_that_becomes_code_keeps_its_lines() {
        let text = "// a comment\n\nenum Color { Red, Green }\n\nclass A {\n  constructor(private a: number) {\n    this.b();\n  }\n}\nconst s = `a\n${Color.Red}\n`;\nnamespace N {\n  export const x = 1;\n}\nf(\n  Color.Red,\n);\nthrow new Error();\n";
        let plain = stripped(text);
        let line = |of: &str, part: &str| of.lines().position(|line| line.contains(part)).unwrap();
        for part in ["Red", "class A", "this.b()", "${", "x = 1", "f(", "throw"] {
            assert_eq!(line(&plain, part), line(text, part), "{part}: {plain}");
        }
        assert!(print("a.ts", &plain).is_some(), "{plain}");
    }

    #[test]
    fn what_is_no_typescript_says_where() {
        let refused = strip("a.ts", "let a: number = 1;\nlet b: = 2;\n").unwrap_err();
        assert!(refused.starts_with("a.ts:2:8: "), "{refused}");
        let refused = strip("a.ts", "let a = 1;\nlet a = 2;\n").unwrap_err();
        assert!(
            refused.starts_with("a.ts:1:5: ") || refused.starts_with("a.ts:2:5: "),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = strip("a.ts", &text);
        }

        #[test]
        fn no_text_of_typescripts_own_words_panics(
            text in "(import|export|type|enum|class|abstract|declare|as|=>|function|namespace|private|[a-c \\n]|[(){}\\[\\];,.'\"`$<>*=:?!|&@]){0,40}",
        ) {
            if let Ok(plain) = strip("a.ts", &text) {
                prop_assert!(print("a.ts", &plain).is_some(), "{plain}");
            }
        }
    }
}
