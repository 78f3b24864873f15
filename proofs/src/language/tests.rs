//! Membership against an enumeration of the members.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const V: u32 = 3;
const LONGEST: usize = 4;

type Words = BTreeSet<Vec<u32>>;

fn concatenations(a: &Words, b: &Words) -> Words {
    let joined = a.iter().flat_map(|x| b.iter().map(move |y| [x.as_slice(), y].concat()));
    joined.filter(|word| word.len() <= LONGEST).collect()
}

/// All members of at most `LONGEST` tokens over a vocabulary of `V`, by the definition of each form.
fn members(language: &Language) -> Words {
    match language {
        Language::Any => {
            let mut all: Words = BTreeSet::from([vec![]]);
            for _ in 0..LONGEST {
                let longer =
                    all.iter().flat_map(|word| (0..V).map(move |t| [word.as_slice(), &[t]].concat()));
                all = longer.chain(all.iter().cloned()).collect();
            }
            all.into_iter().filter(|word| !word.is_empty() && word.len() <= LONGEST).collect()
        }
        Language::Set(ranges) => {
            (0..V).filter(|t| ranges.iter().any(|[a, b]| a <= t && t <= b)).map(|t| vec![t]).collect()
        }
        Language::Seq(parts) => {
            parts.iter().fold(Words::from([vec![]]), |words, part| concatenations(&words, &members(part)))
        }
        Language::Union(parts) => parts.iter().flat_map(members).collect(),
        Language::Repeat { of, min, max } => {
            let of = members(of);
            let (mut power, mut all) = (Words::from([vec![]]), Words::new());
            // Powers beyond this only repeat what nullable parts gave before.
            for times in 0..=max.unwrap_or(min + 8).min(min + 8) {
                if times >= *min {
                    all.extend(power.iter().cloned());
                }
                power = concatenations(&power, &of);
            }
            all
        }
    }
}

fn language() -> impl Strategy<Value = Language> {
    let set = proptest::collection::btree_set(0..V + 1, 0..3)
        .prop_map(|ids| Language::Set(ids.into_iter().map(|id| [id, id]).collect()));
    prop_oneof![1 => Just(Language::Any), 6 => set].prop_recursive(4, 20, 3, |inner| {
        let parts = proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            parts.clone().prop_map(Language::Seq),
            parts.prop_map(Language::Union),
            (inner, 0u32..4, proptest::option::of(0u32..3)).prop_map(|(of, min, more)| {
                Language::Repeat { of: Box::new(of), min, max: more.map(|more| min + more) }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn membership_agrees_with_enumeration(language in language()) {
        prop_assert_eq!(language.validate(), Ok(()));
        let inside = members(&language);
        for word in members(&Language::Any).iter().chain([&vec![]]) {
            prop_assert_eq!(language.contains(word), Ok(inside.contains(word)), "{:?}", word);
        }
    }

    #[test]
    fn places_are_the_tokens_of_the_members(language in language()) {
        let inside = members(&language);
        for length in 1..=LONGEST {
            let words: Vec<&Vec<u32>> = inside.iter().filter(|word| word.len() == length).collect();
            let at = |i: usize| words.iter().map(|word| word[i]).collect::<BTreeSet<u32>>().into_iter().collect();
            let expected: Vec<Vec<u32>> = (0..length).map(at).collect();
            prop_assert_eq!(language.places(length, V), (!words.is_empty()).then_some(expected), "{}", length);
        }
    }
}

#[test]
fn places_that_take_too_long_are_all_tokens() {
    // Each of 150 tokens may stand anywhere, and each repetition goes through the whole prefix.
    let every_second = Language::Set((0..150).map(|i| [2 * i, 2 * i]).collect());
    let repeat = |of: Language| Language::Repeat { of: Box::new(of), min: 0, max: None };
    let language = Language::Seq(vec![repeat(repeat(every_second)), Language::Set(vec![[7, 7]])]);
    assert_eq!(language.places(3, 301).unwrap()[2], [7]);
    assert_eq!(language.places(120, 301).unwrap(), vec![(0..301).collect::<Vec<u32>>(); 120]);
}

#[test]
fn huge_repetitions_cost_no_more_than_the_prefix() {
    let set = |a: u32, b: u32| Language::Set(vec![[a, b]]);
    let repeat = |of: Language, min, max| Language::Repeat { of: Box::new(of), min, max };
    let prefix = vec![1; 1000];
    assert_eq!(repeat(set(0, 2), 0, None).contains(&prefix), Ok(true));
    assert_eq!(repeat(set(0, 2), 1000, Some(u32::MAX)).contains(&prefix), Ok(true));
    assert_eq!(repeat(set(0, 2), u32::MAX, None).contains(&prefix), Ok(false));
    let nullable = repeat(set(0, 2), 0, Some(1));
    assert_eq!(repeat(nullable, u32::MAX, None).contains(&prefix), Ok(true));
}

#[test]
fn endless_tests_are_refused() {
    let step = Language::Set(vec![[1, 1]]);
    let nested = (0..8).fold(step, |of, _| {
        Language::Seq(vec![
            Language::Repeat { of: Box::new(of), min: 0, max: None },
            Language::Set(vec![[1, 1]]),
        ])
    });
    let answer = Language::Repeat { of: Box::new(nested), min: 0, max: None }.contains(&vec![1; 400]);
    assert_eq!(answer, Err(Reject::LanguageTooLarge { limit: MAX_STEPS }));
}

#[test]
fn malformed_languages_are_refused() {
    let read = |text: &str| serde_json::from_str::<Language>(text).unwrap().validate();
    assert_eq!(read(r#"{"set":[[0,3],[5,5]]}"#), Ok(()));
    for text in [r#"{"set":[[2,1]]}"#, r#"{"set":[[0,3],[3,5]]}"#, r#"{"seq":[{"set":[[4,4],[1,1]]}]}"#] {
        assert_eq!(read(text), Err(Reject::LanguageSet), "{text}");
    }
    let repeat = r#"{"union":["any",{"repeat":{"of":"any","min":3,"max":2}}]}"#;
    assert_eq!(read(repeat), Err(Reject::LanguageRepeat { min: 3, max: 2 }));
    let deep = (0..MAX_DEPTH).fold(Language::Any, |of, _| Language::Seq(vec![of]));
    assert_eq!(deep.validate(), Err(Reject::LanguageDepth { limit: MAX_DEPTH }));
}
