//! Search trees of certificates: the data of the attention, the block and the order rule.

use crate::block::Quadratic;
use serde::{Deserialize, Serialize};

/// A closed search tree over the prefixes of one length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionTree {
    /// Tokens of each prefix.
    pub length: u32,
    /// The tree in preorder: the first child follows its parent.
    pub nodes: Vec<AttentionNode>,
}

/// A product of token sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionNode {
    /// Whether the claim is bounded over the whole product; what this proves is proved for the children too.
    pub bound: bool,
    /// `[token, numerator]` with strictly increasing tokens, numerators >= 1, the target absent, sum `2^BLOCK_BITS`; only read for
    /// a ceiling and for a token that is never the argmax.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lambda: Vec<(u32, u32)>,
    /// How the product is divided; `None` if nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<TokenSplit>,
}

/// Two children that differ at one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSplit {
    /// The position, from zero.
    pub position: u32,
    /// The first child has the tokens of these ranges `[first, last]` there, the second the others.
    pub tokens: Vec<[u32; 2]>,
}

/// A closed search tree over the prefixes of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockProof {
    /// `[lo, hi]` of ρ, the factor by which the norm before the MLP scales, over all prefixes.
    pub rho: [i64; 2],
    /// Directions of the residual whose ranges the proof uses, `[few, d]`: arguments behind those of the neurons, without output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directions: Vec<Vec<i64>>,
    /// The tree in preorder: the first child follows its parent, the second child follows the first one's last
    /// descendant.
    pub nodes: Vec<BlockNode>,
}

/// A part of the search space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockNode {
    /// Whether the attention bounds are renewed for the last tokens that are still open.
    pub regroup: bool,
    /// Arguments that discharge last tokens, in order.
    pub duals: Vec<BlockDual>,
    /// Whether every prefix that is open after that is to be evaluated, so that nothing is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub points: bool,
    /// How the rest is divided; `None` if nothing is left.
    pub split: Option<Split>,
}

/// Lagrange multipliers: one proof of `w·R > 0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockDual {
    /// `[token, numerator]` with strictly increasing tokens, numerators >= 1, the target absent, sum `2^BLOCK_BITS`; or
    /// empty, for `w = 0`.
    pub lambda: Vec<(u32, u32)>,
    /// `m`, `[d]`.
    pub lift: Vec<i64>,
    /// `a_k`, `[neurons]`.
    pub slopes: Vec<i64>,
    /// `v″`, `[d]`.
    pub normed: Vec<i64>,
    /// `w″`, `[d]`.
    pub raw: Vec<i64>,
    /// Squares of the neurons' arguments; without them `v″` counts by its length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quadratic: Option<Quadratic>,
}

/// Two children that cover a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Split {
    /// First child: this last token; second: the others.
    Peel {
        /// The last token.
        peel: u32,
    },
    /// First child: the argument of the neuron is at most `at / GRID_STEPS`; second: at least.
    Neuron {
        /// Index of the neuron.
        neuron: u32,
        /// Grid point.
        at: i32,
    },
    /// First child: ρ is at most this; second: at least.
    Rho {
        /// The cut.
        rho: i64,
    },
    /// First child: the prefixes that hold one of these tokens so many positions before the last; second: the others.
    Slot {
        /// How many positions, at least 1.
        slot: u32,
        /// Ranges `[first, last]`.
        tokens: Vec<[u32; 2]>,
    },
}

/// Which tokens lie above the target, by sums that are positive everywhere on the ball of the final norm. Claims about pairs
/// of tokens need none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderProof {
    /// `[token, weight]` with strictly increasing tokens, the target absent, weights not 0, magnitudes that sum to at most
    /// 2^53.
    pub sums: Vec<Vec<(u32, i64)>>,
    /// The tree in preorder; each node is a list of indices of sums, children in the order of tokens.
    pub nodes: Vec<Vec<u32>>,
}
