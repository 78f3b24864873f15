//! The command line as `clap` reads it: raw texts and numbers, not yet validated.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod predicate;

pub use predicate::{Kind, PredicateArgs};

/// Proves or refutes "no prefix drives P(token) above p" for small language models with their real weights.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 proved, 1 refuted, 2 usage or input error, 3 unknown.")]
pub struct Cli {
    /// File with defaults for flags [default: llmprove.toml in the current folder, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Say on stderr what is being done
    #[arg(long, value_name = "LEVEL", global = true, default_value = "off")]
    pub log: LogLevel,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One variant per subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove or refute that no prefix drives P(token | prefix) above a threshold
    Check(CheckArgs),
    /// Enclose the largest P(token | prefix) between a witness and a proved bound
    Bound(BoundArgs),
    /// Answer for every token of the vocabulary, at one or several thresholds
    Audit(AuditArgs),
    /// Write an audit as an HTML page, or show it as bars in the terminal
    Report(ReportArgs),
    /// Look for a prefix after which the token is as likely as possible
    Search(SearchArgs),
    /// Show where the bound of a token is lost: head, layers after attention, attention, prefixes
    Explain(ExplainArgs),
    /// Decide every statement of a suite and write its certificates
    Prove(ProveArgs),
    /// Check a suite's certificates, prove again what changed, and fail if a statement broke
    Ci(CiArgs),
    /// Compare two models: how far probabilities can be apart, and which statements survive
    Diff(DiffArgs),
    /// Show what a model folder holds and which provers apply
    Inspect(InspectArgs),
    /// Count and sample the prefixes of a language
    Language(LanguageArgs),
    /// Prove that a token stays ahead while embeddings of one prefix move in a ball
    Local(LocalArgs),
    /// Print a script that completes this command in a shell
    Completions(CompletionsArgs),
    /// Write manual pages into a folder
    Man(ManArgs),
}

/// How much to say on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing but the progress line
    Off,
    /// What went wrong and was made up for
    Warn,
    /// What was opened and decided
    Info,
    /// Every stage and every better bound
    Debug,
}

/// `llmprove check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub claim: PredicateArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub provers: ProverArgs,
    /// Time limit in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", allow_hyphen_values = true)]
    pub time: String,
    /// Write a certificate to FILE and its statement beside it (c.json and c.statement.json)
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `llmprove bound`.
#[derive(Debug, Args)]
pub struct BoundArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub token: TokenArgs,
    /// Stop as soon as upper - lower is at most G [default: where prefixes are not enumerated, 0.001]
    #[arg(long, value_name = "G", allow_hyphen_values = true)]
    pub gap: Option<String>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub provers: ProverArgs,
    /// Time limit in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", allow_hyphen_values = true)]
    pub time: String,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `llmprove explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub token: TokenArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Time limit of provers and search in seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", allow_hyphen_values = true)]
    pub time: String,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `llmprove audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub question: AuditQuestion,
    /// Print one JSON document on stdout
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print a table of comma-separated values on stdout
    #[arg(long)]
    pub csv: bool,
}

/// What an audit is about and how it runs.
#[derive(Debug, Args)]
pub struct AuditQuestion {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Thresholds, exact decimals strictly between 0 and 1
    #[arg(long, value_name = "P[,P...]", default_value = "0.2", allow_hyphen_values = true)]
    pub threshold: String,
    /// Tokens to audit, such as 0-31,71 [default: the whole vocabulary]
    #[arg(long, value_name = "A-B,C", allow_hyphen_values = true)]
    pub token_ids: Option<String>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub provers: ProverArgs,
    /// Time limit of the whole audit in seconds
    #[arg(long, value_name = "SECONDS", default_value = "120", allow_hyphen_values = true)]
    pub time: String,
    /// Write a certificate and its statement for every decided token and threshold into DIR
    #[arg(long, value_name = "DIR")]
    pub certificates: Option<PathBuf>,
}

/// `llmprove report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub question: AuditQuestion,
    /// Report on an earlier audit, the FILE that `audit --json` printed, instead of running one
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "llmprove-report.html")]
    pub out: PathBuf,
    /// Show the bounds as bars on stdout and write no page
    #[arg(long, conflicts_with_all = ["out", "json"])]
    pub terminal: bool,
    /// Print one JSON document on stdout: where the page is, and the audit
    #[arg(long)]
    pub json: bool,
}

/// `llmprove search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub token: TokenArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Time limit in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", allow_hyphen_values = true)]
    pub time: String,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `llmprove prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// Pass over the certificates that are there and decide everything anew
    #[arg(long)]
    pub fresh: bool,
}

/// `llmprove ci`.
#[derive(Debug, Args)]
pub struct CiArgs {
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// Write certificates that are new or issued again to DIR; those of the suite are only read
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `llmprove diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Folder of the first model
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Folder of the second model
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Put the suite's statements about A to B
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<PathBuf>,
    /// Folder of the suite's certificates [default: certificates, beside the suite]
    #[arg(long, value_name = "DIR", requires = "suite")]
    pub certificates: Option<PathBuf>,
    /// Evaluate both models after every prefix of this language; see llmprove language --help
    #[arg(long, value_name = "LANGUAGE", allow_hyphen_values = true)]
    pub prefix: Option<String>,
    /// Longest prefix to evaluate, in tokens; 0 for none [default: 1, with --prefix the models' context]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub max_len: Option<String>,
    /// Time limit in seconds; statements have their own below it
    #[arg(long, value_name = "SECONDS", default_value = "600", allow_hyphen_values = true)]
    pub time: String,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub threads: Option<String>,
    /// Seed of the random choices
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true)]
    pub seed: String,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// A suite and where reports of it go.
#[derive(Debug, Args)]
pub struct SuiteArgs {
    /// TOML file of statements
    #[arg(value_name = "SUITE")]
    pub file: PathBuf,
    /// Folder of the suite's certificates [default: certificates, beside the suite]
    #[arg(long, value_name = "DIR")]
    pub certificates: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub threads: Option<String>,
    /// Seed of the random choices
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true)]
    pub seed: String,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write a SARIF report: one result per statement that is not as expected
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Also write a summary in Markdown, such as for "$GITHUB_STEP_SUMMARY"
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// `llmprove inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// List every token with its id
    #[arg(long)]
    pub tokens: bool,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `llmprove completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `llmprove man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for the pages, created if absent
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// `llmprove language`.
#[derive(Debug, Args)]
#[command(after_long_help = SYNTAX)]
pub struct LanguageArgs {
    /// The language, such as 'any{0,3} · "Once upon a"'; --help shows the syntax
    #[arg(value_name = "LANGUAGE", allow_hyphen_values = true)]
    pub language: String,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Longest prefix in tokens [default: the model's context]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub max_len: Option<String>,
    /// Number of prefixes to draw, each as likely as any other
    #[arg(long, value_name = "N", default_value = "5", allow_hyphen_values = true)]
    pub samples: String,
    /// Seed of the random choices
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true)]
    pub seed: String,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `llmprove local`.
#[derive(Debug, Args)]
pub struct LocalArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prefix as token ids
    #[arg(long, value_name = "ID[,ID...]", allow_hyphen_values = true)]
    pub prefix_ids: String,
    #[command(flatten)]
    pub token: TokenArgs,
    /// Radius of the ball around each embedding that moves, in the units of the embeddings
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    pub ball: String,
    /// How distance is measured: each entry on its own, or Euclidean
    #[arg(long, value_name = "NORM", default_value = "inf")]
    pub norm: DistanceNorm,
    /// Positions whose embeddings move, counted from 0 [default: all]
    #[arg(long, value_name = "I[,I...]", allow_hyphen_values = true)]
    pub positions: Option<String>,
    /// Compare with this token id alone [default: with every other token]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub versus: Option<String>,
    /// Print one JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// The norm of a ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DistanceNorm {
    /// Each entry by at most the radius
    Inf,
    /// Euclidean length at most the radius
    #[value(name = "2")]
    Two,
}

/// The syntax of languages in short; the documentation of `spec::language` has all of it.
const SYNTAX: &str = r#"Syntax of languages:
  any                every prefix (alone); one token of any kind (as a part)
  "Once upon a"      the tokens that the model's tokenizer makes of this text
  ["a"|"b"]          a slot: one token out of a list of texts, each one token
  [id:5,7-9]         one token out of a list of ids
  [/[a-z]+/]         one token whose whole text matches a regular expression
  [bytes:41-5a]      one token that is a single byte out of a list
  letter, [letter]   one token of a class: letter, upper, lower, digit, space,
                     punct, word, byte (single, not ASCII), control
  [^"a"|digit]       one token that is none of these
  A · B, A ~ B       a member of A, then one of B
  A | B              a member of A or of B; parentheses group
  A{2} A{1,3} A{2,}  repetitions; A* A+ A? are A{0,} A{1,} A{0,1}
  A without [..]     A with these tokens forbidden everywhere

Examples:
  'any{0,3} · "Once upon a"'
  '"My name is" · [word]{1,3} · "."'
  '(letter|space){1,15} · "q"'
  'any without [id:0-2]'"#;

/// Which model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Hugging Face style folder with config.json and model.safetensors [default: the shipped model]
    #[arg(long = "model", value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Which token; exactly one of the three.
#[derive(Debug, Args)]
#[group(id = "which_token", required = true, multiple = false)]
pub struct TokenArgs {
    /// The token's text; has to encode to exactly one token
    #[arg(long = "token", value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// The token's id
    #[arg(long = "token-id", value_name = "N", allow_hyphen_values = true)]
    pub id: Option<String>,
    /// The token's bytes in hexadecimal, such as e282ac
    #[arg(long = "token-bytes", value_name = "HEX", allow_hyphen_values = true)]
    pub bytes: Option<String>,
}

/// What to speak of and how to run, except for the time limit, whose default differs.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Prefixes to speak of, such as 'any{0,3} · "Once upon a"'; see llmprove language --help
    #[arg(long, value_name = "LANGUAGE", default_value = "any", allow_hyphen_values = true)]
    pub prefix: String,
    /// Longest prefix in tokens [default: the model's context]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub max_len: Option<String>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub threads: Option<String>,
    /// Seed of the random choices
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true)]
    pub seed: String,
    /// Keep the state of an exhaustive or branch run in FILE, and go on from there if it exists
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

/// Who may work.
#[derive(Debug, Args)]
pub struct ProverArgs {
    /// Who may work: head, exhaustive, block, attention, deep, branch, search
    #[arg(
        long = "provers",
        value_name = "NAME[,NAME...]",
        default_value = "head,exhaustive,block,attention,deep,branch,search"
    )]
    pub names: String,
}
