//! The automaton and its slices against a naive reading of the language.

use dashu_int::UBig;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::model::TokenId;

/// Tokens of the small vocabulary.
const V: u32 = 4;
/// Longest words that are enumerated.
const LONGEST: usize = 4;

/// Where in `word` a member may end that begins at `start`, by the definition of each form.
fn ends(language: &Language, word: &[TokenId], start: usize) -> Vec<usize> {
    let mut found = match language {
        Language::Any => (start + 1..=word.len()).collect(),
        Language::Set(set) => {
            word.get(start).filter(|token| set.contains(**token)).map(|_| start + 1).into_iter().collect()
        }
        Language::Seq(parts) => parts.iter().fold(vec![start], |starts, part| {
            starts.into_iter().flat_map(|start| ends(part, word, start)).collect()
        }),
        Language::Union(parts) => parts.iter().flat_map(|part| ends(part, word, start)).collect(),
        Language::Repeat { of, min, max } => {
            let (mut starts, mut found) = (vec![start], Vec::new());
            // More repetitions than tokens reach nothing new: all but as many are empty.
            let most = max.unwrap_or(min + word.len() as u32 + 1).min(min + word.len() as u32 + 1);
            for times in 0..=most {
                if times >= *min {
                    found.extend(&starts);
                }
                starts = starts.into_iter().flat_map(|start| ends(of, word, start)).collect();
                starts.sort_unstable();
                starts.dedup();
            }
            found
        }
    };
    found.sort_unstable();
    found.dedup();
    found
}

pub(super) fn naive(language: &Language, word: &[TokenId]) -> bool {
    !word.is_empty() && ends(language, word, 0).contains(&word.len())
}

/// All words of exactly `length` tokens in lexicographic order.
pub(super) fn words(length: usize) -> Vec<Vec<TokenId>> {
    (0..length).fold(vec![Vec::new()], |words, _| {
        words.iter().flat_map(|word| (0..V).map(move |token| [word.as_slice(), &[token]].concat())).collect()
    })
}

fn set() -> impl Strategy<Value = TokenSet> {
    // Also tokens beyond the vocabulary, which count for nothing.
    proptest::collection::vec(0..V + 2, 0..4).prop_map(|ids| ids.into_iter().collect())
}

pub(super) fn language() -> impl Strategy<Value = Language> {
    let leaf = prop_oneof![1 => Just(Language::Any), 6 => set().prop_map(Language::Set)];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let parts = proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            parts.clone().prop_map(Language::Seq),
            parts.prop_map(Language::Union),
            (inner, 0u32..4, proptest::option::of(0u32..3))
                .prop_map(|(of, min, more)| of.repeat(min, more.map(|more| min + more))),
        ]
    })
}

proptest! {
    #[test]
    fn membership_agrees_with_the_definition(language in language()) {
        let automaton = Automaton::new(&language, V as usize).unwrap();
        for length in 0..=LONGEST {
            for word in words(length) {
                prop_assert_eq!(automaton.accepts(&word), naive(&language, &word), "{:?}", word);
            }
        }
    }

    #[test]
    fn slices_hold_exactly_the_members_of_their_length(language in language(), seed in 0u64..1000) {
        let automaton = Automaton::new(&language, V as usize).unwrap();
        let counts = automaton.within(LONGEST);
        let mut total = 0;
        for length in 1..=LONGEST {
            let members: Vec<_> = words(length).into_iter().filter(|word| naive(&language, word)).collect();
            total += members.len();
            prop_assert_eq!(&counts.by_length[length], &UBig::from(members.len()));
            prop_assert_eq!(automaton.lengths(LONGEST).contains(&length), !members.is_empty());
            let Some(slice) = automaton.slice(length) else {
                prop_assert!(members.is_empty());
                continue;
            };
            prop_assert_eq!(slice.count(), &UBig::from(members.len()));
            prop_assert_eq!(&slice.members().collect::<Vec<_>>(), &members);
            let sets = slice.sets();
            for position in 0..length {
                let occur: TokenSet = members.iter().map(|word| word[position]).collect();
                prop_assert_eq!(&sets[position], &occur);
                for member in members.iter().take(8) {
                    let same = |word: &&Vec<TokenId>| {
                        word[..position] == member[..position] && word[position + 1..] == member[position + 1..]
                    };
                    let expected: TokenSet = members.iter().filter(same).map(|word| word[position]).collect();
                    prop_assert_eq!(slice.substitutes(member, position), expected);
                    let begins = |word: &&Vec<TokenId>| word[..position] == member[..position];
                    let next: TokenSet = members.iter().filter(begins).map(|word| word[position]).collect();
                    prop_assert_eq!(slice.next(&member[..position]), next);
                }
            }
            // A partition: every word lies in as many products as it should.
            let products = slice.products(usize::MAX).unwrap();
            for word in words(length) {
                let holds = |product: &&Vec<TokenSet>| product.iter().zip(&word).all(|(set, t)| set.contains(*t));
                let times = products.iter().filter(holds).count();
                prop_assert_eq!(times, usize::from(members.contains(&word)));
                prop_assert_eq!(slice.contains(&word), members.contains(&word));
            }
            prop_assert_eq!(slice.products(products.len() - 1).map(|p| p.len()), None);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..4 {
                prop_assert!(members.contains(&slice.sample(&mut rng)));
            }
        }
        prop_assert_eq!(counts.total(), UBig::from(total));
    }

    #[test]
    fn automata_are_deterministic_and_trimmed(language in language()) {
        let automaton = Automaton::new(&language, V as usize).unwrap();
        prop_assert!(!automaton.states[0].accepting);
        for (k, state) in automaton.states.iter().enumerate() {
            for (i, (set, _)) in state.edges.iter().enumerate() {
                prop_assert!(!set.is_empty());
                for (other, _) in &state.edges[..i] {
                    prop_assert!(set.intersect(other).is_empty());
                }
            }
            // Follow the first way that leads on; a trimmed automaton never gets stuck.
            prop_assert!(state.accepting || !state.edges.is_empty() || automaton.states.len() == 1, "{k}");
        }
    }

    #[test]
    fn json_reads_back(language in language()) {
        let text = serde_json::to_string(&language).unwrap();
        prop_assert_eq!(serde_json::from_str::<Language>(&text).unwrap(), language);
    }
}

#[test]
fn json_looks_as_in_statement_files() {
    let one = |id| Language::Set(TokenSet::one(id));
    let language = Language::Seq(vec![
        Language::Set(TokenSet::all()).repeat(0, Some(3)),
        Language::Union(vec![one(5), one(7).repeat(1, None)]),
    ]);
    let text = concat!(
        r#"{"seq":[{"repeat":{"of":{"set":[[0,4294967295]]},"min":0,"max":3}},"#,
        r#"{"union":[{"set":[[5,5]]},{"repeat":{"of":{"set":[[7,7]]},"min":1,"max":null}}]}]}"#
    );
    assert_eq!(serde_json::to_string(&language).unwrap(), text);
    assert_eq!(serde_json::to_string(&Language::Any).unwrap(), "\"any\"");
    for bad in
        ["\"some\"", r#"{"set":[[2,1]]}"#, r#"{"set":[[1]]}"#, r#"{"seq":{}}"#, r#"{"repeat":{"min":1}}"#]
    {
        assert!(serde_json::from_str::<Language>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_suffix_after_free_tokens_is_one_product_per_length() {
    let free = Language::Set(TokenSet::all()).repeat(0, Some(3));
    let language = Language::Seq(vec![free, Language::word(&[1, 2, 1])]);
    let automaton = Automaton::new(&language, 10).unwrap();
    assert_eq!(automaton.lengths(100), [3, 4, 5, 6]);
    for length in 3..=6 {
        let products = automaton.slice(length).unwrap().products(1).unwrap();
        assert_eq!(products[0].iter().map(TokenSet::len).product::<u64>(), 10u64.pow(length as u32 - 3));
    }
    assert_eq!(automaton.within(100).total(), UBig::from(1111u32));
}

#[test]
fn any_is_recognised_and_counts_exactly() {
    let automaton = Automaton::new(&Language::Any, 512).unwrap();
    assert!(automaton.is_any(512) && !automaton.is_any(513));
    assert_eq!(automaton.within(64).by_length[64], UBig::from(2u32).pow(576));
    let short = Language::Set(TokenSet::all()).repeat(1, Some(3));
    assert!(!Automaton::new(&short, 512).unwrap().is_any(512));
}

#[test]
fn what_is_too_large_is_an_error() {
    let all = || Language::Set(TokenSet::all());
    let too_large =
        |language: Language| matches!(Automaton::new(&language, 4), Err(LanguageError::TooLarge { .. }));
    assert!(too_large(all().repeat(0, Some(u32::MAX))));
    assert!(too_large(all().repeat(9999, None).repeat(9999, None)));
    assert!(too_large(Language::Seq(vec![]).repeat(u32::MAX, None)));
    // The state has to remember which of the last 40 tokens were a 0.
    let zero = Language::Set(TokenSet::one(0));
    assert!(too_large(Language::Seq(vec![all().repeat(0, None), zero, all().repeat(40, Some(40))])));
    let impossible = Language::Any.repeat(3, Some(2));
    assert_eq!(Automaton::new(&impossible, 4), Err(LanguageError::Repetition { min: 3, max: 2 }));
}

#[test]
fn languages_without_prefixes_have_a_lone_state() {
    for language in [Language::Seq(vec![]), Language::Union(vec![]), Language::Set(TokenSet::one(9))] {
        let automaton = Automaton::new(&language, 4).unwrap();
        assert_eq!(automaton.states, [State::default()]);
        assert!(automaton.lengths(5).is_empty() && automaton.slice(1).is_none());
        assert_eq!(automaton.within(5).total(), UBig::ZERO);
    }
}
