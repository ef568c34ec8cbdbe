//! The stretches of TypeScript that are spaces in the JavaScript of it.
//!
//! What is found here is checked by who uses it: a stretch too many or too few costs positions,
//! never meaning.

use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Class, ImportDeclarationSpecifier, MethodDefinition, Program, PropertyDefinition, Statement,
};
use oxc_semantic::AstNodes;
use oxc_span::{GetSpan as _, Span};

/// Words that stand before members of a class and mean nothing to JavaScript.
const MODIFIERS: [&str; 7] =
    ["abstract", "declare", "override", "private", "protected", "public", "readonly"];

/// What to overwrite.
pub(super) struct Blanks<'t> {
    text: &'t str,
    spans: Vec<Span>,
    /// Imports and exports with the names they list: which of them stay, the transformer decides.
    lists: Vec<(Span, Vec<Span>)>,
}

impl<'t> Blanks<'t> {
    /// Those of a program.
    pub(super) fn of(text: &'t str, nodes: &AstNodes<'_>) -> Self {
        let mut blanks = Self { text, spans: Vec::new(), lists: Vec::new() };
        for node in nodes.iter() {
            blanks.add(node.kind(), nodes.parent_kind(node.id()));
        }
        blanks
    }

    fn add(&mut self, kind: AstKind<'_>, parent: AstKind<'_>) {
        match kind {
            AstKind::TSTypeAnnotation(_)
            | AstKind::TSTypeParameterDeclaration(_)
            | AstKind::TSTypeParameterInstantiation(_)
            | AstKind::TSIndexSignature(_) => self.spans.push(kind.span()),
            AstKind::TSAsExpression(cast) => self.blank(cast.expression.span().end, cast.span.end),
            AstKind::TSSatisfiesExpression(cast) => {
                self.blank(cast.expression.span().end, cast.span.end);
            }
            AstKind::TSNonNullExpression(sure) => {
                self.blank(sure.expression.span().end, sure.span.end);
            }
            AstKind::TSTypeAssertion(cast) => {
                self.blank(cast.span.start, cast.expression.span().start);
            }
            AstKind::TSInterfaceDeclaration(_)
            | AstKind::TSTypeAliasDeclaration(_)
            | AstKind::TSGlobalDeclaration(_)
            | AstKind::TSExternalModuleDeclaration(_) => self.statement(kind.span(), parent),
            AstKind::Function(function) if function.body.is_none() => {
                self.statement(function.span, parent);
            }
            AstKind::VariableDeclaration(variable) if variable.declare => {
                self.statement(variable.span, parent);
            }
            AstKind::Class(class) if class.declare => self.statement(class.span, parent),
            AstKind::Class(class) => self.class(class),
            AstKind::TSThisParameter(this) => {
                let after = &self.text[this.span.end as usize..];
                let comma = after.len() - after.trim_start().trim_start_matches(',').len();
                let comma = if after.trim_start().starts_with(',') { comma } else { 0 };
                self.blank(this.span.start, this.span.end + u32::try_from(comma).unwrap_or(0));
            }
            AstKind::FormalParameter(parameter) if parameter.optional => {
                let name = parameter.pattern.span().end;
                let end = parameter.type_annotation.as_ref().map(|ty| ty.span.start);
                self.marks(name, end.unwrap_or(parameter.span.end));
            }
            AstKind::VariableDeclarator(variable) if variable.definite => {
                self.marks(variable.id.span().end, variable.span.end);
            }
            AstKind::PropertyDefinition(property) => self.property(property),
            AstKind::MethodDefinition(method) => self.method(method),
            AstKind::ImportDeclaration(import) => {
                let names = import.specifiers.iter().flatten().map(|name| name.span()).collect();
                self.lists.push((import.span, names));
            }
            AstKind::ExportNamedDeclaration(export) => {
                let names = export.specifiers.iter().map(|name| name.span).collect();
                self.lists.push((export.span, names));
            }
            AstKind::ExportFromDeclaration(export) => {
                let names = export.specifiers.iter().map(|name| name.span).collect();
                self.lists.push((export.span, names));
            }
            AstKind::ExportAllDeclaration(export) => self.lists.push((export.span, Vec::new())),
            _ => {}
        }
    }

    /// A statement that is no code, with the `export` before it.
    fn statement(&mut self, span: Span, parent: AstKind<'_>) {
        let exported =
            matches!(parent, AstKind::ExportDeclaration(_) | AstKind::ExportDefaultDeclaration(_));
        self.spans.push(if exported { parent.span() } else { span });
    }

    fn class(&mut self, class: &Class<'_>) {
        let start = class.decorators.last().map_or(class.span.start, |last| last.span.end);
        let name = class.id.as_ref().map_or(class.body.span.start, |id| id.span.start);
        self.modifiers(start, name);
        if let (Some(first), Some(last)) = (class.implements.first(), class.implements.last()) {
            let before = &self.text[name as usize..first.span.start as usize];
            if let Some(word) = before.rfind("implements") {
                self.blank(name + u32::try_from(word).unwrap_or(0), last.span.end);
            }
        }
    }

    fn property(&mut self, property: &PropertyDefinition<'_>) {
        if property.declare || property.r#type.is_abstract() {
            self.spans.push(property.span);
            return;
        }
        let start = property.decorators.last().map_or(property.span.start, |last| last.span.end);
        let key = property.key.span();
        self.modifiers(start, key.start);
        let ty = property.type_annotation.as_ref().map(|ty| ty.span.start);
        let value = property.value.as_ref().map(|value| value.span().start);
        self.marks(key.end, ty.or(value).unwrap_or(property.span.end));
    }

    fn method(&mut self, method: &MethodDefinition<'_>) {
        if method.value.body.is_none() {
            self.spans.push(method.span);
            return;
        }
        let start = method.decorators.last().map_or(method.span.start, |last| last.span.end);
        self.modifiers(start, method.key.span().start);
        self.marks(method.key.span().end, method.value.span.start);
    }

    /// The modifiers between two places.
    fn modifiers(&mut self, start: u32, end: u32) {
        let between = Span::new(start, end.max(start)).source_text(self.text);
        let mut at = start;
        for word in between.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let length = |text: &str| u32::try_from(text.len()).unwrap_or(0);
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if MODIFIERS.contains(&bare) {
                self.blank(at, at + length(bare));
            }
            at += length(word);
        }
    }

    /// The marks `?` and `!` between two places.
    fn marks(&mut self, start: u32, end: u32) {
        let between = Span::new(start, end.max(start)).source_text(self.text);
        if let Some(mark) = between.find(['?', '!']) {
            let at = start + u32::try_from(mark).unwrap_or(0);
            self.blank(at, at + 1);
        }
    }

    fn blank(&mut self, start: u32, end: u32) {
        self.spans.push(Span::new(start, end.max(start)));
    }

    /// Leaves those imports and exports that are in the program without types.
    pub(super) fn keep(&mut self, program: &Program<'_>) {
        let mut kept = HashSet::new();
        for statement in &program.body {
            match statement {
                Statement::ImportDeclaration(import) => {
                    kept.insert(import.span);
                    let names = import.specifiers.iter().flatten();
                    kept.extend(names.map(ImportDeclarationSpecifier::span));
                }
                Statement::ExportNamedDeclaration(export) => {
                    kept.insert(export.span);
                    kept.extend(export.specifiers.iter().map(|name| name.span));
                }
                Statement::ExportFromDeclaration(export) => {
                    kept.insert(export.span);
                    kept.extend(export.specifiers.iter().map(|name| name.span));
                }
                Statement::ExportAllDeclaration(export) => {
                    kept.insert(export.span);
                }
                _ => {}
            }
        }
        for (list, names) in std::mem::take(&mut self.lists) {
            if !kept.contains(&list) {
                self.spans.push(list);
                continue;
            }
            for (i, name) in names.iter().enumerate().filter(|(_, name)| !kept.contains(*name)) {
                // With the comma behind it.
                let end = names.get(i + 1).map_or(name.end, |next| next.start);
                self.blank(name.start, end);
            }
        }
    }

    /// The text with spaces in place of these stretches, line breaks kept.
    pub(super) fn apply(mut self, text: &str) -> String {
        self.spans.sort();
        let mut blanked = String::with_capacity(text.len());
        let mut at = 0;
        for span in self.spans {
            let (start, end) = ((span.start as usize).max(at), span.end as usize);
            if end <= start {
                continue;
            }
            blanked.push_str(&text[at..start]);
            let space = |c: char| if c.is_whitespace() { c } else { ' ' };
            blanked.extend(text[start..end].chars().map(space));
            at = end;
        }
        blanked.push_str(&text[at..]);
        blanked
    }
}
