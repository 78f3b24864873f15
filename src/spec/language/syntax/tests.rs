//! Texts and what they mean, with the characters of the shipped model as tokens.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::spec::language::Automaton;
use crate::spec::language::tests::{language, naive, words};

/// Tokens are characters: digits 13 to 22, capital letters 26 to 51, small letters 54 to 79.
fn vocab() -> Vocab {
    Vocab::open(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models/moby-l1")), 81).unwrap()
}

#[test]
fn texts_mean_what_they_say() {
    let vocab = vocab();
    for (text, printed) in [
        ("any", "any"),
        (" any ", "any"),
        ("(any)", "any"),
        ("any{1}", "any{1}"),
        ("any+", "any+"),
        ("any{0,3} · \"ab\"", "any{0,3} · [id:54] · [id:55]"),
        ("any{0,3}~\"ab\"", "any{0,3} · [id:54] · [id:55]"),
        ("[\"a\"|\"c\" | \"b\"]", "[id:54-56]"),
        ("[id:5,7-9, 3]", "[id:3,5,7-9]"),
        ("[^id:5|\"a\"]", "[^id:5,54]"),
        ("[/[a-c]|x/]", "[id:54-56,77]"),
        ("[/\\//]", "[]"),
        ("[/[^a-z]/]", "[id:0-53,80]"),
        ("[bytes:41-43,7a]", "[id:26-28,79]"),
        ("digit", "[id:13-22]"),
        ("[digit|upper]", "[id:13-22,26-51]"),
        ("(letter|space){1,15} · \"q\"", "([id:26-51,54-79] | [id:0-1]){1,15} · [id:70]"),
        ("any without [digit]", "[^id:13-22]+"),
        ("any{2} · \"ab\" without [id:54] | \"b\"", "error"),
        ("(any{2} | \"b\") without [id:54]", "[^id:54]{2} | [id:55]"),
        ("any{2} without digit without space", "[^id:0-1,13-22]{2}"),
        ("\"a\"* · \"b\"+ · \"c\"? · any{3,}", "[id:54]* · [id:55]+ · [id:56]? · any{3,}"),
        ("(\"ab\"|\"c\"){2}", "([id:54] · [id:55] | [id:56]){2}"),
        ("(\"a\"{2}){3}", "([id:54]{2}){3}"),
        ("\"\"", "()"),
        ("()", "()"),
        ("[]", "[]"),
        ("[^any]", "[]"),
        ("\"\\\"\\n\\u{20}\"", "[id:3] · [id:0] · [id:1]"),
    ] {
        match Language::parse(text, &vocab) {
            Ok(language) => assert_eq!(language.to_string(), printed, "{text}"),
            Err(error) => assert_eq!(printed, "error", "{text}: {error}"),
        }
    }
}

#[test]
fn errors_point_at_the_place() {
    let vocab = vocab();
    for (text, at, words) in [
        ("", 0, "the text ends"),
        ("any{0,3} \"a\"", 9, "expected · or | or the end"),
        ("any · ", 6, "expected any"),
        ("any{3,2}", 4, "at least 3 and at most 2"),
        ("any{x}", 4, "a number of times"),
        ("any{1", 5, "expected }"),
        ("any{2000000}", 4, "at most 1000000 times"),
        ("any{99999999999}", 4, "too large"),
        ("every", 0, "no class of tokens"),
        ("\"a", 0, "no closing \""),
        ("any · \"é\"", 6, "no token for"),
        ("\"a\\q\"", 2, "an escape is one of"),
        ("[\"ab\"]", 1, "not one token but 2"),
        ("[\"é\"]", 1, "not in the model's vocabulary"),
        ("[id:81]", 4, "its ids are 0 to 80"),
        ("[id:]", 4, "a token id"),
        ("[id:9-3]", 4, "turn its ends round"),
        ("[bytes:1ff]", 7, "no byte"),
        ("[/(/]", 1, "no regular expression"),
        ("[/a", 1, "no closing /"),
        ("[\"a\"", 4, "expected ]"),
        ("(\"a\"", 4, "expected )"),
        ("any without \"a\"", 12, "has to be a slot"),
        ("any{2} · \"a\" without [id:54] | \"b\"", 29, "expected · or | or the end"),
        ("any }", 4, "there is '}'"),
    ] {
        match Language::parse(text, &vocab) {
            Err(LanguageError::Syntax { column, problem, .. }) => {
                assert_eq!(column, at, "{text}: {problem}");
                assert!(problem.contains(words), "{text}: {problem}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let deep = format!("{}any{}", "(".repeat(100), ")".repeat(100));
    assert!(Language::parse(&deep, &vocab).is_err());
    let nested = format!("{}any{}", "((".repeat(15), "){2}|any){2}".repeat(15));
    assert_eq!(Language::parse(&nested, &vocab), Err(LanguageError::Deep { limit: MAX_DEPTH }));
}

#[test]
fn the_caret_stands_under_the_place() {
    let error = Language::parse("any · é", &vocab()).unwrap_err().to_string();
    assert_eq!(error.lines().last().unwrap(), "        ^", "{error}");
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(language in language()) {
        let vocab = Vocab::numbered(10);
        let printed = language.to_string();
        let again = Language::parse(&printed, &vocab).unwrap();
        prop_assert_eq!(again.to_string(), printed);
        for word in (0..=3).flat_map(words) {
            prop_assert_eq!(naive(&again, &word), naive(&language, &word), "{:?}", word);
        }
    }

    #[test]
    fn forbidden_tokens_occur_in_no_member(language in language(), forbidden in 0u32..4) {
        let set = TokenSet::one(forbidden);
        let without = Automaton::new(&language.clone().without(&set), 4).unwrap();
        for word in (1..=3).flat_map(words) {
            let expected = naive(&language, &word) && !word.contains(&forbidden);
            prop_assert_eq!(without.accepts(&word), expected, "{:?}", word);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z\"\\[\\]\\(\\){}0-9,|·~*+?/:^ -]{0,20}") {
        let _ = Language::parse(&text, &Vocab::numbered(10));
    }
}
