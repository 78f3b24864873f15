//! Statement and certificate files: the one thing that prover and checker share. FORMAT.md describes them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decimal::Decimal;
use crate::language::Language;
use crate::predicate::Predicate;
use crate::reject::Reject;
pub use crate::trees::{
    AttentionNode, AttentionTree, BlockDual, BlockNode, BlockProof, OrderProof, Split, TokenSplit,
};

/// Longest accepted statement file in bytes.
pub const MAX_STATEMENT_BYTES: usize = 16 << 20;
/// Longest accepted certificate file in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 64 << 20;
/// Largest denominator of a head certificate.
pub const MAX_DENOMINATOR: u64 = 1 << 53;
/// All numbers of a block proof but tokens and grid points are integers in units of `2^-BLOCK_BITS`.
pub const BLOCK_BITS: u32 = 20;
/// Largest magnitude of such an integer.
pub const MAX_MULTIPLIER: i64 = 1 << 50;
/// Grid points per unit of a neuron's argument.
pub const GRID_STEPS: i32 = 512;

const STATEMENT: &str = "llmprove-statement";
const CERTIFICATE: &str = "llmprove-certificate";
const VERSION: u32 = 1;

/// What is claimed about a model: a predicate for every prefix of a language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    format: String,
    version: u32,
    /// Digest of the model folder, see [`crate::model_digest`].
    pub model: String,
    /// The prefixes spoken of.
    pub language: Language,
    /// Longest prefix spoken of, in tokens; `None` for any length the model accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_len: Option<u32>,
    /// What holds after each of them.
    pub predicate: Predicate,
}

/// An argument that settles one statement about one model. It never carries the claim itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    format: String,
    version: u32,
    /// Digest of the model folder.
    pub model: String,
    /// SHA-256 (lower-case hex) of the statement file's bytes.
    pub statement: String,
    /// The argument.
    pub proof: Proof,
}

/// The argument of a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Proof {
    /// Proves a ceiling, or that a token is never in a nucleus, for all prefixes of any length from the final norm and the
    /// head alone.
    Head {
        /// Sum of all numerators, at most 2^53.
        denominator: u64,
        /// `[token, numerator]` with strictly increasing tokens, numerators >= 1, the target absent.
        lambda: Vec<(u32, u64)>,
    },
    /// Proves a ceiling of a set of tokens from the final norm and the head alone.
    Set {
        /// Weights λ for each token of the set, in their order; no token of the set has a weight.
        duals: Vec<Simplex>,
    },
    /// Proves a floor from the final norm and the head alone: the checker needs nothing for it.
    Pairs {},
    /// Proves a ceiling of several tokens by ceilings of single ones.
    Parts {
        /// One for each token, in the order of the statement; `None` for the bound 1.
        parts: Vec<Option<Part>>,
    },
    /// Refutes any statement: what is claimed does not hold after this prefix.
    Witness {
        /// Token ids, first token first.
        prefix: Vec<u32>,
    },
    /// Proves a ceiling for all prefixes up to a length by branch and bound through the last block of the network, of which there are at most
    /// two.
    Block(BlockProof),
    /// Proves a claim about the order of logits for all prefixes of any length from the final norm and the head alone.
    Order(OrderProof),
    /// Proves a predicate for the prefixes of a language in a one-layer attention-only model.
    Attention {
        /// One for every length that the language has prefixes of, in order.
        trees: Vec<AttentionTree>,
    },
    /// Proves any statement about few prefixes: the checker evaluates them all.
    Exhaustive {},
}

/// Weights over tokens that sum to 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simplex {
    /// Sum of all numerators, at most 2^53.
    pub denominator: u64,
    /// `[token, numerator]` with strictly increasing tokens, numerators >= 1.
    pub lambda: Vec<(u32, u64)>,
}

/// A ceiling of one token and its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// A probability strictly between 0 and 1.
    pub threshold: Decimal,
    /// Proves that the token's probability does not exceed it.
    pub proof: Proof,
}

/// The fields that say how to read the rest.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Statement {
    /// A statement about `model` (its digest).
    #[must_use]
    pub fn new(model: String, language: Language, max_len: Option<u32>, predicate: Predicate) -> Statement {
        Statement { format: STATEMENT.into(), version: VERSION, model, language, max_len, predicate }
    }

    /// The bytes of a statement file; their SHA-256 is what a certificate refers to.
    #[must_use]
    pub fn to_json_bytes(&self) -> Vec<u8> {
        to_json_bytes(self)
    }

    /// Reads a statement file strictly: unknown or missing fields and numbers out of range are errors.
    ///
    /// # Errors
    /// [`Reject`] with the defect.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Statement, Reject> {
        let malformed = |e: serde_json::Error| Reject::StatementMalformed(e.to_string());
        if bytes.len() > MAX_STATEMENT_BYTES {
            return Err(Reject::StatementTooLong { bytes: bytes.len(), limit: MAX_STATEMENT_BYTES });
        }
        check_header(serde_json::from_slice(bytes).map_err(malformed)?, STATEMENT)?;
        let statement: Statement = serde_json::from_slice(bytes).map_err(malformed)?;
        statement.predicate.validate()?;
        if statement.max_len == Some(0) {
            return Err(Reject::NoPrefixes);
        }
        statement.language.validate()?;
        Ok(statement)
    }
}

impl Certificate {
    /// A certificate for the statement file with these bytes, about the same model.
    #[must_use]
    pub fn new(model: String, statement_bytes: &[u8], proof: Proof) -> Certificate {
        let statement = sha256_hex(statement_bytes);
        Certificate { format: CERTIFICATE.into(), version: VERSION, model, statement, proof }
    }

    /// The bytes of a certificate file.
    #[must_use]
    pub fn to_json_bytes(&self) -> Vec<u8> {
        to_json_bytes(self)
    }

    /// Reads a certificate file strictly. Only the form is checked here, nothing about the model.
    ///
    /// # Errors
    /// [`Reject`] with the defect.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Certificate, Reject> {
        let malformed = |e: serde_json::Error| Reject::CertificateMalformed(e.to_string());
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(Reject::CertificateTooLong { bytes: bytes.len(), limit: MAX_CERTIFICATE_BYTES });
        }
        check_header(serde_json::from_slice(bytes).map_err(malformed)?, CERTIFICATE)?;
        serde_json::from_slice(bytes).map_err(malformed)
    }
}

/// Refuses files of another kind or version before their fields are looked at.
fn check_header(header: Header, format: &'static str) -> Result<(), Reject> {
    if header.format != format {
        return Err(Reject::WrongFormat { found: header.format, expected: format });
    }
    if header.version != VERSION {
        return Err(Reject::WrongVersion { found: header.version, expected: VERSION });
    }
    Ok(())
}

fn to_json_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("structs of strings and integers always serialise");
    bytes.push(b'\n');
    bytes
}

/// SHA-256 as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let threshold = Decimal::parse("0.2").unwrap();
        let predicate = Predicate::Ceiling { token: 71, threshold, temperature: None };
        Statement::new("ab".into(), Language::Any, Some(16), predicate)
    }

    #[test]
    fn the_files_look_as_agreed() {
        let text = concat!(
            r#"{"format":"llmprove-statement","version":1,"model":"ab","language":"any","max_len":16,"#,
            r#""predicate":{"kind":"ceiling","token":71,"threshold":"0.2"}}"#,
            "\n"
        );
        assert_eq!(statement().to_json_bytes(), text.as_bytes());
        assert_eq!(Statement::from_json_bytes(text.as_bytes()), Ok(statement()));
        let proof = Proof::Head { denominator: 3, lambda: vec![(0, 1), (5, 2)] };
        let certificate = Certificate::new("ab".into(), text.as_bytes(), proof);
        let expected = format!(
            r#"{{"format":"llmprove-certificate","version":1,"model":"ab","statement":"{}","proof":{}}}{}"#,
            sha256_hex(text.as_bytes()),
            r#"{"kind":"head","denominator":3,"lambda":[[0,1],[5,2]]}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(certificate.to_json_bytes()).unwrap(), expected);
        assert_eq!(Certificate::from_json_bytes(expected.as_bytes()), Ok(certificate));
    }

    #[test]
    fn block_proofs_look_as_agreed() {
        let dual = BlockDual {
            lambda: vec![(1, 3), (4, 5)],
            lift: vec![-7],
            slopes: vec![8, -9],
            normed: vec![0],
            raw: vec![1],
            quadratic: None,
        };
        let node = |split| BlockNode { regroup: false, duals: vec![], points: false, split };
        let nodes = vec![
            BlockNode {
                regroup: true,
                duals: vec![dual],
                points: false,
                split: Some(Split::Peel { peel: 7 }),
            },
            node(Some(Split::Neuron { neuron: 1, at: -30 })),
            node(Some(Split::Rho { rho: 12 })),
            node(Some(Split::Slot { slot: 2, tokens: vec![[1, 3], [5, 5]] })),
            node(None),
        ];
        let proof = Proof::Block(BlockProof { rho: [10, 20], directions: vec![], nodes });
        let text = concat!(
            r#"{"kind":"block","rho":[10,20],"nodes":[{"regroup":true,"duals":[{"lambda":[[1,3],[4,5]],"lift":[-7],"#,
            r#""slopes":[8,-9],"normed":[0],"raw":[1]}],"split":{"peel":7}},"#,
            r#"{"regroup":false,"duals":[],"split":{"neuron":1,"at":-30}},"#,
            r#"{"regroup":false,"duals":[],"split":{"rho":12}},"#,
            r#"{"regroup":false,"duals":[],"split":{"slot":2,"tokens":[[1,3],[5,5]]}},"#,
            r#"{"regroup":false,"duals":[],"split":null}]}"#
        );
        assert_eq!(serde_json::to_string(&proof).unwrap(), text);
        assert_eq!(serde_json::from_str::<Proof>(text).unwrap(), proof);
        for (from, to) in [
            ("\"rho\":12", "\"rho\":12,\"x\":1"),
            ("\"rho\":12", "\"rho\":12,\"peel\":1"),
            ("\"peel\":7", "\"peel\":7.0"),
            ("\"at\":-30", "\"at\":3000000000"),
            ("\"raw\":[1]", "\"raw\":[1],\"raw\":[1]"),
            ("\"raw\":[1]", "\"raw\":[1],\"bound\":1"),
            (",\"raw\":[1]", ""),
            ("\"rho\":[10,20]", "\"rho\":[10,20,30]"),
            ("\"rho\":[10,20]", "\"rho\":[10,20],\"x\":1"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert!(serde_json::from_str::<Proof>(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn unknown_fields_are_refused_at_every_level() {
        let text = String::from_utf8(statement().to_json_bytes()).unwrap();
        for (from, to) in [("\"language\"", "\"x\":1,\"language\""), ("\"token\"", "\"x\":1,\"token\"")] {
            let changed = text.replace(from, to);
            assert!(matches!(
                Statement::from_json_bytes(changed.as_bytes()),
                Err(Reject::StatementMalformed(_))
            ));
        }
    }
}
