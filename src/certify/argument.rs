//! Arguments of provers in the checker's format.

use llmprove_proofs as format;

use super::CertifyError;
use crate::prove::Argument;
use crate::prove::head::HeadCertificate;
use crate::spec::Threshold;

/// The proof of a certificate file.
pub fn proof(argument: Argument<'_>) -> format::Proof {
    match argument {
        Argument::Head { denominator, lambda } => {
            format::Proof::Head { denominator, lambda: lambda.to_vec() }
        }
        Argument::Set(duals) => format::Proof::Set { duals: duals.iter().map(simplex).collect() },
        Argument::Pairs => format::Proof::Pairs {},
        Argument::Block(block) => super::block::proof(block),
        Argument::Attention(attention) => super::attention::proof(attention),
        Argument::Order(order) => {
            format::Proof::Order(format::OrderProof { sums: order.sums.clone(), nodes: order.nodes.clone() })
        }
        Argument::Exhaustive => format::Proof::Exhaustive {},
    }
}

fn simplex(dual: &HeadCertificate) -> format::Simplex {
    format::Simplex { denominator: dual.denominator, lambda: dual.lambda.clone() }
}

/// The proof of a ceiling by the head theorem.
#[must_use]
pub fn head_proof(certificate: &HeadCertificate) -> format::Proof {
    proof(Argument::Head { denominator: certificate.denominator, lambda: &certificate.lambda })
}

/// The ceiling of one token as a part of the proof of another statement.
///
/// # Errors
/// A threshold that the format cannot hold.
pub fn part(threshold: &Threshold, proof: &format::Proof) -> Result<format::Part, CertifyError> {
    let threshold = format::Decimal::parse(threshold.text());
    let threshold = threshold.map_err(|e| CertifyError::Statement(e.to_string()))?;
    Ok(format::Part { threshold, proof: proof.clone() })
}
