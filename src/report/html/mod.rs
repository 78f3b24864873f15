//! The report of an audit as one self-contained HTML page: no script, style, font or picture comes from elsewhere.
//!
//! Everything that the page shows is calculated from the audit's JSON document, which the page carries along in a
//! `<script type="application/json">`. Without scripts the page is complete; they only sort and filter the table, and keep
//! that state in the address after `#`, so that a view can be shared.

mod axis;
mod page;
mod plots;
mod table;

use std::collections::BTreeMap;

use crate::model::{TokenId, Vocab};

use super::audit::Document;

/// What a page shows.
#[derive(Debug)]
pub struct Page<'a> {
    /// The audit.
    pub audit: &'a Document,
    /// Texts of the tokens in witnesses.
    pub vocab: &'a Vocab,
    /// SHA-256 of the model's weights and configuration, as certificates name it.
    pub digest: &'a str,
    /// The model in a few words and numbers: label and text.
    pub facts: Vec<(&'static str, String)>,
    /// Certificates by token and threshold.
    pub certificates: BTreeMap<(TokenId, String), Link>,
}

/// A file beside the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it lies, relative to the page.
    pub href: String,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
}

impl Page<'_> {
    /// The page; every text that comes from a model or a file name is escaped.
    #[must_use]
    pub fn render(&self) -> String {
        page::page(self).into_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::audit::Row;
    use crate::verdict::Answer;

    fn row(id: TokenId, text: &str, lower: f64, upper: f64, answer: Answer) -> Row {
        let verdicts = BTreeMap::from([("0.2".to_owned(), answer)]);
        let witness = (lower > 0.0).then(|| vec![0, 1]);
        Row { id, text: text.into(), lower, upper, witness, prover: "head".into(), verdicts }
    }

    fn audit() -> Document {
        Document {
            model: "<b>model</b>".into(),
            language: "any".into(),
            max_len: None,
            thresholds: vec![0.2],
            tokens: vec![
                row(0, "</script><script>alert(1)</script>", 0.0, 0.1, Answer::Proved),
                row(1, "&\"'", 0.3, 0.9, Answer::Refuted),
            ],
            summary: BTreeMap::new(),
            mean_gap: 0.35,
            seconds: 1.0,
        }
    }

    fn render(audit: &Document) -> String {
        let link = Link { href: "c/token-0.json".into(), sha256: "ab".repeat(32) };
        let certificates = BTreeMap::from([((0, "0.2".to_owned()), link)]);
        let vocab = Vocab::numbered(2);
        Page { audit, vocab: &vocab, digest: "cd", facts: vec![("family", "gpt2".into())], certificates }
            .render()
    }

    #[test]
    fn texts_of_tokens_and_names_are_escaped() {
        let page = render(&audit());
        // The page's own two scripts, and no third: a token's text neither opens nor closes one.
        assert!(!page.contains("<script>alert"), "{page}");
        assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2), "{page}");
        assert!(!page.contains("<b>model") && page.contains("&lt;b&gt;model"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = render(&audit());
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            // The namespace of SVG is a name, not an address, and HTML does not need it.
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn the_page_carries_the_document() {
        let page = render(&audit());
        let start = page.find("id=\"audit\">").map(|k| k + "id=\"audit\">".len()).unwrap();
        let json = &page[start..start + page[start..].find("</script>").unwrap()];
        assert_eq!(serde_json::from_str::<Document>(json).unwrap(), audit());
    }

    #[test]
    fn certificates_are_linked_with_their_hashes() {
        let page = render(&audit());
        assert!(page.contains("href=\"c/token-0.json\"") && page.contains(&"ab".repeat(32)));
    }

    #[test]
    fn an_empty_audit_is_a_page_too() {
        let empty = Document { tokens: Vec::new(), thresholds: Vec::new(), ..audit() };
        assert!(render(&empty).contains("</html>"));
    }
}
