//! Cases of the order rule, about `tiny-ranks`: rows 0, 1 and 2 stand at 120 degrees with a bias of 0.6, token 3 is flat, and
//! token 4 lies 5 above that. In every direction at least two of the first three are above token 3, and no single one
//! always is.

use llmprove_proofs::{Decimal, Language, OrderProof, Predicate, Proof, Statement, model_digest};

use crate::AnyError;
use crate::cases::{Accepted, Rejected, model_dir, pair, uniform};

const MODEL: &str = "tiny-ranks";
const NEVER: Predicate = Predicate::NeverArgmax { token: 3 };

fn about(model: &str, predicate: Predicate) -> Result<Statement, AnyError> {
    Ok(Statement::new(model_digest(&model_dir(model))?, Language::Any, None, predicate))
}

fn top(k: u32) -> Predicate {
    Predicate::NeverTopK { token: 3, k }
}

fn dominance(margin: &str) -> Result<Predicate, AnyError> {
    Ok(Predicate::Dominance { over: 4, under: 3, margin: Decimal::parse(margin)? })
}

fn order(sums: &[&[(u32, i64)]], nodes: &[&[u32]]) -> Proof {
    let sums = sums.iter().map(|sum| sum.to_vec()).collect();
    Proof::Order(OrderProof { sums, nodes: nodes.iter().map(|node| node.to_vec()).collect() })
}

/// Sums that are positive on the ball.
const SUMS: [&[(u32, i64)]; 6] = [
    &[(4, 1)],
    &[(0, 1), (1, 1), (2, 1)],
    &[(1, 1), (2, 1)],
    &[(0, 1), (2, 1)],
    &[(0, 1), (1, 1)],
    // Positive where token 0 is above, and elsewhere.
    &[(0, -1), (1, 20), (2, 20)],
];

/// Token 4 and two of 0, 1, 2 are above token 3.
const TREE: [&[u32]; 4] = [&[1], &[0, 2], &[0, 3], &[4]];

/// Certificates that hold.
pub fn accept(case: Accepted) -> Result<(), AnyError> {
    let proved = |name: &str, predicate: Predicate, proof: Proof| {
        case(name, MODEL, "proved", about(MODEL, predicate)?, proof)
    };
    proved("order_never_argmax", NEVER, order(&SUMS[..1], &[&[0]]))?;
    proved("order_never_top_3", top(3), order(&SUMS, &TREE))?;
    proved("order_under_an_assumption", top(3), order(&SUMS, &[&[1], &[0, 5], &[0, 3], &[0, 4]]))?;
    proved("order_always_argmax", Predicate::AlwaysArgmax { token: 4 }, order(&[], &[]))?;
    // The two rows are equal, so that the difference is 5 everywhere, exactly.
    proved("order_dominance", dominance("5")?, order(&[], &[]))
}

/// Certificates with one defect each.
pub fn reject(case: Rejected) -> Result<(), AnyError> {
    let rejected = |name: &str, expect: &str, predicate: Predicate, proof: Proof| {
        case(name, expect, MODEL, pair(&about(MODEL, predicate)?, proof)?)
    };
    let with = |sum: &[(u32, i64)]| order(&[sum], &[&[0]]);
    rejected("order_of_a_pair_with_sums", "OrderNotEmpty", dominance("5")?, order(&SUMS[..1], &[]))?;
    rejected("order_of_a_pair_with_nodes", "OrderNotEmpty", dominance("5")?, order(&[], &[&[0]]))?;
    rejected("order_dominance_above", "OrderOfPair", dominance("5.000000000000000001")?, order(&[], &[]))?;
    let first = Predicate::AlwaysArgmax { token: 0 };
    rejected("order_not_always_argmax", "OrderOfPair", first, order(&[], &[]))?;
    let ceiling = Predicate::Ceiling { token: 3, threshold: Decimal::parse("0.5")?, temperature: None };
    rejected("order_of_a_ceiling", "WrongRule", ceiling, order(&SUMS[..1], &[&[0]]))?;
    rejected("order_sum_unsorted", "SumMalformed", NEVER, with(&[(4, 1), (0, 1)]))?;
    rejected("order_sum_repeats_a_token", "SumMalformed", NEVER, with(&[(4, 1), (4, 1)]))?;
    rejected("order_sum_has_target", "SumMalformed", NEVER, with(&[(3, 1), (4, 1)]))?;
    rejected("order_sum_weight_zero", "SumMalformed", NEVER, with(&[(0, 0), (4, 1)]))?;
    rejected("order_sum_out_of_vocabulary", "SumMalformed", NEVER, with(&[(4, 1), (5, 1)]))?;
    rejected("order_sum_huge", "SumMalformed", NEVER, with(&[(0, 1), (4, 1 << 53)]))?;
    rejected("order_sum_least_integer", "SumMalformed", NEVER, with(&[(0, i64::MIN), (4, i64::MAX)]))?;
    rejected("order_sum_not_positive", "SumNotPositive", NEVER, with(&[(0, 1)]))?;
    rejected("order_sum_empty", "SumNotPositive", NEVER, with(&[]))?;
    let unused: [&[(u32, i64)]; 2] = [SUMS[0], &[(0, 1)]];
    rejected("order_unused_sum_not_positive", "SumNotPositive", NEVER, order(&unused, &[&[0]]))?;
    rejected("order_no_such_sum", "OrderNode", NEVER, order(&SUMS, &[&[6]]))?;
    rejected("order_node_without_sum", "OrderNode", NEVER, order(&SUMS, &[&[]]))?;
    rejected("order_assumption_not_made", "OrderNode", NEVER, order(&SUMS, &[&[5]]))?;
    let again: [&[u32]; 4] = [&[1], &[0, 4], &[0, 3], &[4]];
    rejected("order_token_above_already", "OrderNode", top(3), order(&SUMS, &again))?;
    rejected("order_sums_share_a_token", "OrderNode", top(2), order(&SUMS, &[&[2, 3]]))?;
    rejected("order_one_sum_twice", "OrderNode", top(2), order(&SUMS, &[&[0, 0]]))?;
    rejected("order_without_nodes", "NodeMissing", NEVER, order(&SUMS, &[]))?;
    rejected("order_without_last_node", "NodeMissing", top(3), order(&SUMS, &TREE[..3]))?;
    rejected("order_of_lower_rank", "OrderNode", top(4), order(&SUMS, &TREE))?;
    rejected("order_with_extra_node", "NodeExtra", NEVER, order(&SUMS, &[&[0], &[0]]))?;
    let float = pair(&about(MODEL, NEVER)?, with(&[(4, 1)]))?.map(|text| text.replace("[4,1]", "[4,1.5]"));
    case("order_weight_fraction", "CertificateMalformed", MODEL, float)?;
    let hooked = about("tiny-hooked", NEVER)?;
    case("order_without_final_norm", "NoFinalNorm", "tiny-hooked", pair(&hooked, with(&[(4, 1)]))?)?;
    case("head_of_an_order", "WrongRule", MODEL, pair(&about(MODEL, NEVER)?, uniform(5, 3))?)
}
