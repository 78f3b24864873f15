//! The place of linear-programming and SMT back ends, each behind a small interface. Every answer given here will be a
//! *hint*: the caller re-checks it with sound arithmetic before it counts. No prover needs one yet: the head theorem and the
//! block prover bring their own convex optimisation.
