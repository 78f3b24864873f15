//! `llmprove local`: does a token stay the likeliest while embeddings of a concrete prefix move?

use llmprove::domain::network::Network;
use llmprove::domain::region::{EmbeddingBall, Norm};
use llmprove::model::{TokenId, Vocab};
use llmprove::report::local::Local;

use super::args::{DistanceNorm, LocalArgs};
use super::error::CliError;
use super::output::Output;
use super::{options, token};

/// Exit code of a question that was not decided.
const UNKNOWN: u8 = 3;

/// Runs the command.
pub fn run(args: &LocalArgs) -> Result<Output, CliError> {
    let folder = options::model_folder(args.model.dir.as_deref())?;
    let vocab = options::vocabulary(&folder)?;
    let token = token::select(&args.token, &vocab)?;
    let versus = args.versus.as_deref().map(|id| token::by_id(id, vocab.len())).transpose()?;
    if versus == Some(token) {
        return Err(CliError::new("--versus names the token itself", "compare it with another token"));
    }
    let prefix = prefix(&args.prefix_ids, &vocab)?;
    let positions: Vec<usize> = match args.positions.as_deref() {
        Some(text) => list(text, "--positions")?,
        None => (0..prefix.len()).collect(),
    };
    let radius = args.ball.parse().ok().filter(|r: &f64| r.is_finite() && *r >= 0.0).ok_or_else(|| {
        CliError::new(
            format!("--ball {} is not a radius", args.ball),
            "give a number that is not negative, in the units of the embeddings",
        )
    })?;
    let norm = match args.norm {
        DistanceNorm::Inf => Norm::Linf,
        DistanceNorm::Two => Norm::L2,
    };
    let model = folder.load().map_err(|e| CliError { message: e.to_string(), help: None })?;
    let unfit = |message: String| CliError { message, help: None };
    let network = Network::new(&model).map_err(|e| unfit(e.to_string()))?;
    let ball = EmbeddingBall { prefix: &prefix, positions: &positions, norm, radius };
    let logits = network.over_ball(&ball).map_err(|e| unfit(e.to_string()))?;
    let report = Local::new(&ball, token, versus, &logits.outlook(token), &vocab);
    let code = if report.stays() { 0 } else { UNKNOWN };
    Ok(if args.json { Output::json(&report, code) } else { Output { text: report.text(&vocab), code } })
}

fn prefix(text: &str, vocab: &Vocab) -> Result<Vec<TokenId>, CliError> {
    text.split(',').map(|id| token::by_id(id.trim(), vocab.len())).collect()
}

/// Whole numbers between commas.
fn list(text: &str, flag: &str) -> Result<Vec<usize>, CliError> {
    let number = |part: &str| {
        part.trim().parse().map_err(|_| {
            CliError::new(
                format!("{flag} {text}: {part:?} is not a position"),
                "give positions of the prefix, counted from 0, such as 3,5",
            )
        })
    };
    text.split(',').map(number).collect()
}
