//! Regions of inputs: token sets position by position, and balls around embeddings.

use ndarray::Array2;

use super::ceiling::Ceilings;
use super::form::{Form, Shape, Symbols};
use super::forward::{Known, residuals};
use super::logits::Logits;
use super::network::Network;
use crate::model::{PrefixError, TokenId};

/// How far embeddings may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Each entry by at most the radius.
    Linf,
    /// The vector by at most the radius in Euclidean length.
    L2,
}

/// A ball around the embedding of each of some positions of a concrete prefix.
#[derive(Debug, Clone)]
pub struct EmbeddingBall<'a> {
    /// Token ids.
    pub prefix: &'a [TokenId],
    /// Positions that move, counted from zero.
    pub positions: &'a [usize],
    /// How the distance is measured.
    pub norm: Norm,
    /// The radius, in the units of the embeddings.
    pub radius: f64,
}

/// Most symbols whose products of two are kept track of.
const WITH_SQUARES: usize = 64;
/// Most symbols whose products of three are kept track of.
const WITH_CUBES: usize = 32;

/// Tokens that are enclosed together; one alone is enclosed exactly.
pub type Cluster = Vec<TokenId>;

impl Network<'_> {
    /// Number of tokens.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab
    }

    /// Keys and values of known tokens, to be shared by all regions that begin with them.
    ///
    /// # Errors
    /// More tokens than the context, or one that does not exist.
    pub fn known(&self, tokens: &[TokenId]) -> Result<Known, PrefixError> {
        if !tokens.is_empty() {
            self.check(tokens.len(), tokens)?;
        }
        Ok(Known::new(self, tokens))
    }

    /// Logits over all prefixes that start with the known tokens and go on with one token of each set in turn. A set is
    /// given as clusters: the more of them, the tighter and the slower. Returns the logits for each cluster of the last
    /// set, in order.
    ///
    /// # Errors
    /// No set at all, an empty set or cluster, more positions than the context, a token that does not exist.
    pub fn over_sets(&self, known: &Known, sets: &[Vec<Cluster>]) -> Result<Vec<Logits<'_>>, PrefixError> {
        let last = self.over(known, sets)?;
        Ok(last.iter().map(|residual| Logits::new(self, residual)).collect())
    }

    /// Upper bounds on the probability of each of some tokens, which have to exist, over the prefixes that
    /// [`Network::over_sets`] speaks of.
    ///
    /// # Errors
    /// As there.
    pub fn ceilings(
        &self,
        known: &Known,
        sets: &[Vec<Cluster>],
        tokens: &[TokenId],
    ) -> Result<Vec<f64>, PrefixError> {
        self.check(1, tokens)?;
        let last: Vec<Ceilings<'_>> =
            self.over(known, sets)?.iter().map(|residual| Ceilings::new(self, residual)).collect();
        let most = |&token: &TokenId| last.iter().map(|region| region.of(token)).fold(0.0, f64::max);
        Ok(tokens.iter().map(most).collect())
    }

    /// Last residuals over the prefixes of token sets, one for each cluster of the last set.
    fn over(&self, known: &Known, sets: &[Vec<Cluster>]) -> Result<Vec<Form>, PrefixError> {
        let first = known.tokens().len();
        self.check(if sets.is_empty() { 0 } else { first + sets.len() }, &[])?;
        let mut symbols = Symbols::supply(0);
        let mut columns = Vec::with_capacity(sets.len());
        for (i, set) in sets.iter().enumerate() {
            let mut column = Vec::with_capacity(set.len());
            for cluster in set {
                self.check(1, cluster)?;
                column.push(self.cluster(first + i, cluster, &mut symbols).ok_or(PrefixError::Empty)?);
            }
            if column.is_empty() {
                return Err(PrefixError::Empty);
            }
            columns.push(column);
        }
        Ok(residuals(self, known, columns))
    }

    /// Logits over a ball around the embeddings of a concrete prefix.
    ///
    /// # Errors
    /// A prefix that the model does not accept, no position, or one outside the prefix.
    pub fn over_ball(&self, ball: &EmbeddingBall<'_>) -> Result<Logits<'_>, PrefixError> {
        let n = ball.prefix.len();
        self.check(n, ball.prefix)?;
        if let Some(&position) = ball.positions.iter().find(|&&position| position >= n) {
            return Err(PrefixError::NoSuchPosition { position, len: n });
        }
        let first = ball.positions.iter().copied().min().unwrap_or(n - 1);
        let known = self.known(&ball.prefix[..first])?;
        // Products make the bounds on small balls much tighter, and are few enough where one position moves: as many as
        // it takes, and none where no number of them helps.
        let degrees: &[u8] = match self.width {
            _ if ball.positions.len() > 1 => &[1],
            d if d <= WITH_CUBES => &[2, 3, 1],
            d if d <= WITH_SQUARES => &[2, 1],
            _ => &[1],
        };
        let answer = |&degree: &u8| {
            let last = self.around(ball, &known, degree);
            (Logits::new(self, &last), last.looseness().is_some_and(|rest| !(rest <= 1.0)))
        };
        let (mut logits, mut loose) = answer(&degrees[0]);
        for degree in &degrees[1..] {
            if loose {
                let next = answer(degree);
                (logits, loose) = (next.0.and(logits), next.1);
            }
        }
        Ok(logits)
    }

    /// The last residual over a ball that moves no known token.
    fn around(&self, ball: &EmbeddingBall<'_>, known: &Known, degree: u8) -> Form {
        let mut symbols = Symbols::supply(0);
        let shape = match ball.norm {
            Norm::Linf => Shape::Box,
            Norm::L2 => Shape::Ball,
        };
        let column = |position: usize| {
            let form = self.embedding(position, ball.prefix[position]);
            let moved = match ball.positions.contains(&position) {
                true => {
                    let rows = Array2::from_diag_elem(self.width, ball.radius);
                    let group = match degree {
                        1 => symbols.fresh(shape, self.width),
                        _ => symbols.fresh_with_products(shape, self.width, degree),
                    };
                    form.with_group(group, rows)
                }
                false => form,
            };
            vec![moved]
        };
        let columns = (known.tokens().len()..ball.prefix.len()).map(column).collect();
        let last = residuals(self, known, columns);
        last.into_iter().next().expect("the last position has one alternative")
    }

    /// One of some tokens at a position; `None` for none.
    fn cluster(&self, position: usize, tokens: &[TokenId], symbols: &mut Symbols) -> Option<Form> {
        let rows: Vec<Form> = tokens.iter().map(|&token| self.embedding(position, token)).collect();
        match rows.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => Some(Form::choice(&rows, symbols)),
        }
    }

    fn check(&self, len: usize, tokens: &[TokenId]) -> Result<(), PrefixError> {
        match len {
            0 => return Err(PrefixError::Empty),
            len if len > self.context => return Err(PrefixError::TooLong { len, context: self.context }),
            _ => (),
        }
        match tokens.iter().find(|&&token| token as usize >= self.vocab) {
            Some(&token) => Err(PrefixError::NoSuchToken { token, vocab_size: self.vocab }),
            None => Ok(()),
        }
    }
}
