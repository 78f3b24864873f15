//! Linear-programming and SMT back ends of llmprove. Every answer given here is a *hint*: the caller re-checks it with
//! sound arithmetic before it counts.
