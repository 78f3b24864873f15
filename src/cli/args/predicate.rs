//! The flags that say what is claimed, and of which tokens.

use clap::{Args, ValueEnum};

/// What is claimed, and of which tokens.
#[derive(Debug, Args)]
pub struct PredicateArgs {
    /// What to claim
    #[arg(long, value_name = "KIND", value_enum, default_value = "ceiling")]
    pub predicate: Kind,
    /// The token's text; has to encode to exactly one token. Several flags name several tokens
    #[arg(long = "token", value_name = "TEXT", allow_hyphen_values = true)]
    pub texts: Vec<String>,
    /// The token's id
    #[arg(long = "token-id", value_name = "N", allow_hyphen_values = true)]
    pub ids: Vec<String>,
    /// The token's bytes in hexadecimal, such as e282ac
    #[arg(long = "token-bytes", value_name = "HEX", allow_hyphen_values = true)]
    pub bytes: Vec<String>,
    /// The tokens of a continuation, as the model's tokenizer makes them of this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Probability, an exact decimal strictly between 0 and 1, such as 0.2
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub threshold: Option<String>,
    /// Divide the logits by T before the softmax [default: 1]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub temperature: Option<String>,
    /// Least difference of two logits in nats, for dominance
    #[arg(long, value_name = "C", allow_hyphen_values = true)]
    pub margin: Option<String>,
    /// Number of likeliest tokens, for never-top-k
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub rank: Option<String>,
}

/// A kind of claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// P(token) <= threshold
    Ceiling,
    /// The probabilities of the tokens sum to at most the threshold
    SetCeiling,
    /// P(token) <= threshold for each of the tokens
    MaxCeiling,
    /// P(token) >= threshold
    Floor,
    /// P(the tokens one after the other) <= threshold
    Continuation,
    /// A top-p sampler with p = threshold never draws the token
    NeverInNucleus,
    /// The logit of the first token less that of the second is at least the margin
    Dominance,
    /// Some other token has a greater logit
    NeverArgmax,
    /// At least as many other tokens as the rank says have greater logits
    NeverTopK,
    /// The token has a greater logit than every other
    AlwaysArgmax,
}

impl Kind {
    /// The name of its flag.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().into())
    }
}
