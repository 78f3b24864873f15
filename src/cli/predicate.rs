//! What `check` claims: from the flags of a predicate to the predicate.

use llmprove::model::{TokenId, Vocab};
use llmprove::spec::{Decimal, Predicate, Threshold};

use super::args::{Kind, PredicateArgs, TokenArgs};
use super::error::CliError;
use super::{options, token};

/// Flags whose numbers are in order, before a model is open.
pub struct Claim<'a> {
    args: &'a PredicateArgs,
    threshold: Option<Threshold>,
    temperature: Option<Decimal>,
    margin: Option<Decimal>,
    rank: Option<usize>,
}

impl<'a> Claim<'a> {
    /// Reads the numbers.
    pub fn new(args: &'a PredicateArgs) -> Result<Claim<'a>, CliError> {
        let kind = args.predicate;
        let wants_threshold =
            !matches!(kind, Kind::Dominance | Kind::NeverArgmax | Kind::NeverTopK | Kind::AlwaysArgmax);
        let flags = [
            ("--threshold", args.threshold.is_some(), wants_threshold, wants_threshold),
            ("--temperature", args.temperature.is_some(), wants_threshold, false),
            ("--margin", args.margin.is_some(), kind == Kind::Dominance, kind == Kind::Dominance),
            ("--rank", args.rank.is_some(), kind == Kind::NeverTopK, kind == Kind::NeverTopK),
        ];
        for (flag, given, makes_sense, needed) in flags {
            let name = kind.name();
            if given && !makes_sense {
                return Err(CliError::new(format!("{flag} means nothing for {name}"), "leave it out"));
            }
            if needed && !given {
                let help = format!("add {flag}, such as {}", example(flag));
                return Err(CliError::new(format!("{name} needs {flag}"), help));
            }
        }
        let decimal = |flag: &'static str, text: &Option<String>| {
            let read = |text: &String| {
                Decimal::parse(text).map_err(|e| {
                    CliError::new(e.to_string(), format!("give a number, such as {}", example(flag)))
                })
            };
            text.as_ref().map(read).transpose()
        };
        let rank = |text: &String| {
            text.parse().map_err(|_| {
                CliError::new(
                    format!("--rank {text} is not a number of tokens"),
                    "give a rank, such as --rank 5",
                )
            })
        };
        Ok(Claim {
            args,
            threshold: args.threshold.as_deref().map(options::threshold).transpose()?,
            temperature: decimal("--temperature", &args.temperature)?,
            margin: decimal("--margin", &args.margin)?,
            rank: args.rank.as_ref().map(rank).transpose()?,
        })
    }

    /// The predicate, with the ids of a vocabulary.
    pub fn predicate(self, vocab: &Vocab) -> Result<Predicate, CliError> {
        let tokens = self.tokens(vocab)?;
        let Claim { args, threshold, temperature, margin, rank } = self;
        let missing =
            |flag: &str| CliError::new(format!("{} needs {flag}", args.predicate.name()), example(flag));
        let threshold = || threshold.clone().ok_or_else(|| missing("--threshold"));
        let set = || {
            let mut tokens = tokens.clone();
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        let token = tokens[0];
        let predicate = match args.predicate {
            Kind::Ceiling => Predicate::Ceiling { token, threshold: threshold()?, temperature },
            Kind::SetCeiling => Predicate::SetCeiling { tokens: set(), threshold: threshold()?, temperature },
            Kind::MaxCeiling => Predicate::MaxCeiling { tokens: set(), threshold: threshold()?, temperature },
            Kind::Floor => Predicate::Floor { token, threshold: threshold()?, temperature },
            Kind::Continuation => {
                Predicate::Continuation { tokens: tokens.clone(), threshold: threshold()?, temperature }
            }
            Kind::NeverInNucleus => Predicate::NeverInNucleus { token, mass: threshold()?, temperature },
            Kind::Dominance => Predicate::Dominance {
                over: token,
                under: tokens[1],
                margin: margin.ok_or_else(|| missing("--margin"))?,
            },
            Kind::NeverArgmax => Predicate::NeverArgmax { token },
            Kind::NeverTopK => Predicate::NeverTopK { token, k: rank.ok_or_else(|| missing("--rank"))? },
            Kind::AlwaysArgmax => Predicate::AlwaysArgmax { token },
        };
        predicate.check(vocab.len()).map_err(|e| {
            CliError::new(e.to_string(), "see docs/guide/statements.md for what each predicate needs")
        })?;
        Ok(predicate)
    }

    /// The tokens in order: as many as the predicate speaks of.
    fn tokens(&self, vocab: &Vocab) -> Result<Vec<TokenId>, CliError> {
        let PredicateArgs { texts, ids, bytes, text, .. } = self.args;
        let kind = self.args.predicate;
        let name = kind.name();
        if let Some(text) = text {
            if kind != Kind::Continuation {
                let help = "name tokens by --token, --token-id or --token-bytes";
                return Err(CliError::new(format!("--text means nothing for {name}"), help));
            }
            let ids =
                vocab.encode(text).map_err(|e| CliError::new(e.to_string(), "name tokens by --token-id"))?;
            return if ids.is_empty() {
                Err(CliError::new("--text is empty", "give some text"))
            } else {
                Ok(ids)
            };
        }
        let given = [("--token", texts), ("--token-id", ids), ("--token-bytes", bytes)];
        let kinds: Vec<&str> =
            given.iter().filter(|(_, list)| !list.is_empty()).map(|(flag, _)| *flag).collect();
        if kinds.len() > 1 {
            let problem = format!("{} cannot be used with {}", kinds[0], kinds[1]);
            return Err(CliError::new(problem, "name all tokens in the same way"));
        }
        let of = |text: Option<&String>, id: Option<&String>, bytes: Option<&String>| {
            let args = TokenArgs { text: text.cloned(), id: id.cloned(), bytes: bytes.cloned() };
            token::select(&args, vocab)
        };
        let tokens: Vec<TokenId> = texts
            .iter()
            .map(|text| of(Some(text), None, None))
            .chain(ids.iter().map(|id| of(None, Some(id), None)))
            .chain(bytes.iter().map(|bytes| of(None, None, Some(bytes))))
            .collect::<Result<_, _>>()?;
        let wanted = match kind {
            Kind::SetCeiling | Kind::MaxCeiling | Kind::Continuation => 1..=usize::MAX,
            Kind::Dominance => 2..=2,
            _ => 1..=1,
        };
        if wanted.contains(&tokens.len()) {
            return Ok(tokens);
        }
        let help = "name tokens by --token TEXT, --token-id N or --token-bytes HEX, several by several flags";
        let number = if wanted == (2..=2) { "two tokens" } else { "one token" };
        Err(CliError::new(format!("{name} speaks of {number}, not of {}", tokens.len()), help))
    }
}

fn example(flag: &str) -> &'static str {
    match flag {
        "--temperature" => "--temperature 0.7",
        "--margin" => "--margin 0.5",
        "--rank" => "--rank 5",
        _ => "--threshold 0.2",
    }
}
