//! Suites: a TOML file of statements about models, decided together and kept true across changes of the weights.
//!
//! This room reads the file ([`Suite::parse`]) and says what became of each statement ([`Outcome`]); files and models are
//! opened by the command line.
//!
//! ```toml
//! model = "models/moby-l1"         # a folder, relative to this file
//! time = 30                        # seconds per statement
//!
//! [[statement]]
//! name = "capital-x-is-rare"       # letters, digits, '.', '_' and '-': the certificate's file name
//! token = "X"                      # or token_id = 49, or token_bytes = "58"
//! threshold = 0.2                  # the exact decimal
//! expect = "proved"                # or "refuted"
//! ```

mod claim;
mod error;
mod fields;
mod outcome;
mod parse;

pub use claim::{Claim, TokenBy, TokenName};
pub use error::SuiteError;
pub use outcome::{How, Outcome, Status, Summary, WitnessText};
pub use parse::{Entry, Suite};
