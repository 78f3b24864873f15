//! The only room that rounds: intervals, enclosures of elementary functions, dot products with proved error bounds.
//!
//! Everything here obeys one law, *inclusion*: if every real input lies in the enclosure passed in, the real result
//! lies in the enclosure passed out. A non-finite end stays as it is (±∞) and never turns into a finite one; a NaN end
//! is replaced by the infinite end of its side.

mod activation;
mod ball;
pub mod decimal;
mod dot;
pub mod duality;
mod elementary;
mod fixed;
pub mod gamma;
mod interval;
mod logarithm;
pub mod precise;
mod rotation;
mod softmax;
mod spectral;
pub mod wide;

pub use activation::{gelu_erf, gelu_tanh, relu, silu};
pub use ball::{Ball, BallVec, dot_error, nonnegative_sum};
pub use dot::{dot, vec_mat};
pub use elementary::{erf, exp, ln, ln_1p, sigmoid, tanh};
pub use interval::Interval;
pub use logarithm::ln_upper;
pub use rotation::{cos, pow, sin, turns};
pub use softmax::Softmax;
pub use spectral::spectral_norm;
