//! The tokenizer: start tags, end tags and text, as soon as each is complete.
//!
//! It is given everything received so far and remembers how far it has come, also in its search for the end of a token
//! that is still arriving; so a document costs the same whether it comes at once or byte by byte.

use super::chars::{AMPERSAND, GREATER_THAN, LESS_THAN, check_characters, is_ncname, is_space, skip_space};
use super::names::Name;
use super::namespaces::Scopes;
use super::references::check_references;
use super::{Attribute, Attributes, Namespace, Span, XmlError, XmlProblem};
use crate::limits::{MAX_ATTRIBUTES, MAX_DEPTH};
use memchr::{memchr, memchr3, memmem};

const BOM: &[u8] = b"\xef\xbb\xbf";
const COMMENT: &[u8] = b"<!--";
const CDATA: &[u8] = b"<![CDATA[";
const DOCTYPE: &[u8] = b"<!DOCTYPE";

/// A part of the document. Comments and processing instructions are checked and passed over.
///
/// What the part consists of stays in the [`Tokenizer`], because moving it about would cost more than reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A start tag; see [`Tokenizer::tag`].
    Start,
    End,
    Text,
    CData,
}

/// A start tag, or the tag of an element without content.
#[derive(Debug)]
pub(crate) struct StartTag {
    pub(crate) local: Span,
    pub(crate) namespace: Namespace,
    /// The element ends here; no end tag follows.
    pub(crate) empty: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenElement {
    name: Span,
    /// The declarations in scope outside it.
    scope: usize,
}

/// Reads one document; an error is final.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    /// Where the next token begins.
    at: usize,
    /// How far its end has been searched for.
    searched: usize,
    /// In a start tag, the quote that was open there, 0 if none.
    quote: u8,
    open: Vec<OpenElement>,
    scopes: Scopes,
    /// The current tag's attributes, kept for their space.
    attributes: Vec<(Name, Namespace)>,
    root_seen: bool,
    /// The last token; without its markup if it is text.
    span: Span,
    /// The last start tag.
    tag: StartTag,
}

impl Tokenizer {
    /// At the beginning of a document. The space is what an ordinary SOAP head needs.
    pub(crate) fn new() -> Self {
        Self {
            at: 0,
            searched: 0,
            quote: 0,
            open: Vec::with_capacity(8),
            scopes: Scopes::with_capacity(16),
            attributes: Vec::with_capacity(8),
            root_seen: false,
            span: Span::new(0, 0),
            tag: StartTag { local: Span::new(0, 0), namespace: Namespace::NONE, empty: false },
        }
    }

    /// Where the last token stands; of text, without the markup of a CDATA section.
    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    /// The last start tag.
    pub(crate) const fn tag(&self) -> &StartTag {
        &self.tag
    }

    /// How many elements are open.
    pub(crate) const fn depth(&self) -> usize {
        self.open.len()
    }

    /// The next token, or `None` if it is not complete in `document`, the bytes received so far. `end`: no more will come.
    pub(crate) fn next(&mut self, document: &[u8], end: bool) -> Result<Option<Token>, XmlError> {
        loop {
            let token = match self.step(document)? {
                Read::Token(token) => return Ok(Some(token)),
                Read::Passed => continue,
                Read::Incomplete => None,
            };
            if !end {
                return Ok(token);
            }
            let blank = document[self.at..].iter().all(|&b| is_space(b));
            let problem = if blank && !self.root_seen { XmlProblem::Empty } else { XmlProblem::Truncated };
            return Err(problem.at(document.len()));
        }
    }

    fn step(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        if self.at == 0 {
            if document.starts_with(BOM) {
                self.consume(BOM.len());
            } else if BOM.starts_with(document) {
                return Ok(Read::Incomplete);
            }
        }
        let rest = &document[self.at..];
        match rest {
            [] | [b'<'] => Ok(Read::Incomplete),
            [b'<', b'/', ..] => self.end_tag(document),
            [b'<', b'?', ..] => self.processing_instruction(document),
            [b'<', b'!', ..] => self.declaration(document),
            [b'<', ..] => self.start_tag(document),
            _ => self.text(document),
        }
    }

    /// The next token begins at `at`.
    const fn consume(&mut self, at: usize) {
        self.at = at;
        self.searched = at;
    }

    /// Where `needle` first stands at least `skip` bytes behind the token's beginning.
    fn find(&mut self, document: &[u8], skip: usize, needle: &[u8]) -> Option<usize> {
        let from = self.searched.max(self.at + skip);
        let found = memmem::find(document.get(from..)?, needle).map(|offset| from + offset);
        // The last bytes may be the needle's beginning.
        self.searched = found.unwrap_or_else(|| from.max((document.len() + 1).saturating_sub(needle.len())));
        found
    }

    fn text(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        let end = memchr(b'<', &document[self.searched..]).map_or(document.len(), |offset| self.searched + offset);
        if self.open.is_empty() {
            let first = skip_space(&document[..end], self.searched);
            if first < end {
                return Err(XmlProblem::NotXml.at(first));
            }
        }
        self.searched = end;
        if end == document.len() {
            return Ok(Read::Incomplete);
        }
        let span = Span::new(self.at, end);
        let text = span.of(document);
        let classes = check_characters(text, span.start)?;
        if classes & AMPERSAND != 0 {
            check_references(text, span.start)?;
        }
        if classes & GREATER_THAN != 0
            && let Some(offset) = memmem::find(text, b"]]>")
        {
            return Err(XmlProblem::Markup.at(span.start + offset));
        }
        self.consume(end);
        self.span = span;
        Ok(if self.open.is_empty() { Read::Passed } else { Read::Token(Token::Text) })
    }

    /// `<!`: a comment, a CDATA section or a DOCTYPE.
    fn declaration(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        let rest = &document[self.at..];
        if rest.starts_with(COMMENT) {
            return self.comment(document);
        }
        if rest.starts_with(CDATA) {
            return self.cdata(document);
        }
        if rest.starts_with(DOCTYPE) {
            return Err(XmlProblem::Doctype.at(self.at));
        }
        if [COMMENT, CDATA, DOCTYPE].iter().any(|markup| markup.starts_with(rest)) {
            return Ok(Read::Incomplete);
        }
        Err(XmlProblem::Markup.at(self.at))
    }

    fn comment(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        // `--` ends a comment wherever it stands, so it must be followed by `>`.
        let Some(dashes) = self.find(document, COMMENT.len(), b"--") else { return Ok(Read::Incomplete) };
        match document.get(dashes + 2) {
            None => return Ok(Read::Incomplete),
            Some(b'>') => {}
            Some(_) => return Err(XmlProblem::Markup.at(dashes)),
        }
        check_characters(&document[self.at..dashes], self.at)?;
        self.consume(dashes + 3);
        Ok(Read::Passed)
    }

    fn cdata(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        if self.open.is_empty() {
            return Err(XmlProblem::NotXml.at(self.at));
        }
        let Some(close) = self.find(document, CDATA.len(), b"]]>") else { return Ok(Read::Incomplete) };
        let span = Span::new(self.at + CDATA.len(), close);
        check_characters(span.of(document), span.start)?;
        self.consume(close + 3);
        self.span = span;
        Ok(Read::Token(Token::CData))
    }

    fn processing_instruction(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        let Some(close) = self.find(document, 2, b"?>") else { return Ok(Read::Incomplete) };
        let start = self.at;
        let inside = Span::new(start + 2, close);
        let body = inside.of(document);
        check_characters(body, inside.start)?;
        let target_end = body.iter().position(|&b| is_space(b)).unwrap_or(body.len());
        let target = &body[..target_end];
        if target == b"xml" && (start == 0 || &document[..start] == BOM) {
            check_xml_declaration(document, Span::new(inside.start + target_end, close))?;
        } else if target.eq_ignore_ascii_case(b"xml") || !is_ncname(target) {
            return Err(XmlProblem::Markup.at(start));
        }
        self.consume(close + 2);
        Ok(Read::Passed)
    }

    fn end_tag(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        let Some(&OpenElement { name, scope }) = self.open.last() else { return Err(XmlProblem::EndTag.at(self.at)) };
        let name = name.of(document);
        let named = self.at + 2;
        let close = match document[named..].strip_prefix(name) {
            Some([b'>', ..]) => named + name.len(),
            _ => {
                let Some(close) = self.find(document, 2, b">") else { return Ok(Read::Incomplete) };
                let rest = document[named..close].strip_prefix(name);
                // Whatever else is wrong with the tag: no element has such a name.
                rest.filter(|rest| rest.iter().all(|&b| is_space(b))).ok_or_else(|| XmlProblem::EndTag.at(self.at))?;
                close
            }
        };
        self.scopes.leave(scope);
        self.open.pop();
        self.span = Span::new(self.at, close + 1);
        self.consume(close + 1);
        Ok(Read::Token(Token::End))
    }

    fn start_tag(&mut self, document: &[u8]) -> Result<Read, XmlError> {
        let Some(close) = self.tag_end(document) else { return Ok(Read::Incomplete) };
        let span = Span::new(self.at, close + 1);
        // Without its `<`: another one would be out of place.
        let classes = check_characters(&document[span.start + 1..span.end], span.start + 1)?;
        if self.open.is_empty() && self.root_seen {
            return Err(XmlProblem::Markup.at(span.start));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(XmlProblem::Depth.at(span.start));
        }
        let empty = document[close - 1] == b'/';
        let inside = Span::new(span.start + 1, close - usize::from(empty));
        let name = Name::read(document, inside.start, inside.end)?;
        let attributes = Span::new(name.local.end, inside.end);
        if attributes.of(document).first().is_some_and(|&b| !is_space(b)) {
            return Err(XmlProblem::Name.at(attributes.start));
        }

        let scope = self.scopes.mark();
        let plain = classes & (AMPERSAND | LESS_THAN) == 0;
        let read = if plain { Attributes::plain } else { Attributes::new };
        self.read_attributes(document, read(document, attributes))?;
        let namespace = self.scopes.of_element(document, name.prefix)?;
        if name.prefix.of(document) == b"xmlns" {
            return Err(XmlProblem::UndeclaredPrefix.at(inside.start));
        }
        if empty {
            self.scopes.leave(scope);
        } else {
            self.open.push(OpenElement { name: name.span(), scope });
        }
        self.root_seen = true;
        self.consume(span.end);
        self.span = span;
        self.tag = StartTag { local: name.local, namespace, empty };
        Ok(Read::Token(Token::Start))
    }

    /// Where the `>` stands that ends the tag: the first one outside quotes.
    fn tag_end(&mut self, document: &[u8]) -> Option<usize> {
        self.searched = self.searched.max(self.at + 1);
        loop {
            let rest = &document[self.searched..];
            let found = match self.quote {
                0 => memchr3(b'>', b'"', b'\'', rest),
                open => memchr(open, rest),
            };
            let Some(offset) = found else {
                self.searched = document.len();
                return None;
            };
            let at = self.searched + offset;
            match (self.quote, document[at]) {
                (0, b'>') => return Some(at),
                (0, quote) => self.quote = quote,
                _ => self.quote = 0,
            }
            self.searched = at + 1;
        }
    }

    /// Declares the tag's namespaces and checks its other attributes.
    fn read_attributes(&mut self, document: &[u8], attributes: Attributes<'_>) -> Result<(), XmlError> {
        let scope = self.scopes.mark();
        self.attributes.clear();
        for (count, attribute) in attributes.enumerate() {
            let Attribute { name, value } = attribute?;
            if count == MAX_ATTRIBUTES {
                return Err(XmlProblem::Attributes.at(value.start));
            }
            let Name { prefix, local } = name;
            match (prefix.of(document), local.of(document)) {
                (b"", b"xmlns") => self.scopes.declare(document, scope, prefix, value)?,
                (b"xmlns", _) => self.scopes.declare(document, scope, local, value)?,
                _ => self.attributes.push((name, Namespace::NONE)),
            }
        }
        self.check_attributes(document)
    }

    /// Resolves the attributes' prefixes, now that all declarations are known, and refuses one that stands twice.
    fn check_attributes(&mut self, document: &[u8]) -> Result<(), XmlError> {
        for index in 0..self.attributes.len() {
            let (Name { prefix, local }, mut namespace) = self.attributes[index];
            // Unlike an element, an attribute without a prefix is in no namespace.
            if prefix.start < prefix.end {
                namespace = self.scopes.of_element(document, prefix)?;
                self.attributes[index].1 = namespace;
            }
            let same = |(earlier, resolved): &(Name, Namespace)| {
                earlier.local.of(document) == local.of(document) && resolved.is(namespace, document)
            };
            if self.attributes[..index].iter().any(same) {
                return Err(XmlProblem::DuplicateAttribute.at(prefix.start));
            }
        }
        Ok(())
    }
}

/// What one step brought.
enum Read {
    Token(Token),
    /// Something that does not matter.
    Passed,
    Incomplete,
}

/// XML 1.0 §2.8: version, then encoding, then standalone. The encoding itself was dealt with before.
fn check_xml_declaration(document: &[u8], inside: Span) -> Result<(), XmlError> {
    let mut expected = [&b"version"[..], b"encoding", b"standalone"].into_iter();
    let mut version_seen = false;
    for attribute in Attributes::new(document, inside) {
        let attribute = attribute?;
        let (name, value) = (attribute.name.span().of(document), attribute.value.of(document));
        let in_order = expected.any(|next| next == name);
        let good = match name {
            b"version" => value.strip_prefix(b"1.").is_some_and(|minor| !minor.is_empty() && minor.is_ascii()),
            b"encoding" => !value.is_empty() && value.iter().all(|b| b.is_ascii_graphic()),
            _ => value == b"yes" || value == b"no",
        };
        version_seen |= name == b"version";
        if !in_order || !good || !version_seen {
            return Err(XmlProblem::Markup.at(attribute.value.start));
        }
    }
    if version_seen { Ok(()) } else { Err(XmlProblem::Markup.at(inside.start)) }
}
