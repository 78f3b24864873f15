//! One unit of work: every prefix of a unit, evaluated rigorously, sixteen at a time.
//!
//! In floats where a probe says that they do for most; else what others go on from is computed in double-double numbers, and the
//! last step to a prefix that nothing goes on from in floats if they do for that, and with all digits otherwise. What floats
//! say too little about is evaluated with all digits, and where that is dearer than the next of these plans, that one takes over.

use std::array::from_fn;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::limits::Limits;
use crate::model::rigorous::{self, batch};
use crate::model::{Model, PrefixError, TokenId};
use crate::num::wide::{LANES, Lanes, Number, Wide};

use super::tally::{CROWD, Question, Tally};
use super::walk::{Beginning, Tree, Unit};

/// Largest radius of logits that is left as it is if all digits do no better.
const LOOSE: f64 = 1e-7;
/// Radius of logits that no other evaluation has to improve: it widens the final enclosure of a probability by as much.
const ENOUGH: f64 = 1e-10;
/// Largest radius of logits that floats may have: beyond it most prefixes would be open.
const VAGUE: f64 = 2.0;
/// Radius of logits that leaves few prefixes open, as most probabilities are small or far from the best.
const NEAR: f64 = 0.3;

/// Where floats do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// All along.
    Floats,
    /// For the last step to prefixes that nothing goes on from.
    FloatsLast,
    /// Nowhere.
    Digits,
}

/// What evaluates.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// The model.
    pub model: &'a Model,
    /// The same, prepared; `None` for layers that are not covered, whose prefixes are evaluated one by one.
    pub network: Option<&'a batch::Network<'a>>,
    /// The prefixes.
    pub tree: &'a Tree<'a>,
    /// Where floats do.
    pub plan: Plan,
    /// What is asked.
    pub question: Question<'a>,
    /// Steps taken with more digits where floats said too little.
    pub again: &'a AtomicUsize,
    /// When to end.
    pub limits: &'a Limits,
}

impl Worker<'_> {
    /// Everything that the unit holds; `None` if the limits ended it. What lies below `floors` is left out.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn run(&self, unit: &Unit, floors: &[f64]) -> Result<Option<Tally>, PrefixError> {
        match self.plan {
            Plan::Floats => self.run_in::<Lanes>(unit, floors),
            Plan::FloatsLast | Plan::Digits => self.run_in::<Wide>(unit, floors),
        }
    }

    fn run_in<N: Number>(&self, unit: &Unit, floors: &[f64]) -> Result<Option<Tally>, PrefixError> {
        let mut tally = self.question.start();
        let mut packet = batch::Packet::<N>::default();
        let nodes = &unit.beginnings;
        let len = nodes[0].tokens.len();
        let mut logits = None;
        if let Some(network) = self.network {
            for position in 0..len {
                let last = position + 1 == len;
                let tokens = from_fn(|l| nodes[l.min(nodes.len() - 1)].tokens[position]);
                logits = network.extend(&mut packet, tokens, last && self.any_accepted(nodes));
            }
        }
        self.see_all::<N>(self.members(nodes), logits, floors, &mut tally)?;
        let finished = !unit.deep || self.descend(&packet, nodes, floors, &mut tally)?;
        Ok(finished.then_some(tally))
    }

    /// Encloses open prefixes with all digits until no quantity has more than `crowd` of them, the best ones first: what they reach
    /// leaves many of the others behind. `false` if the limits ended it; what was not enclosed stays open.
    ///
    /// # Errors
    /// A prefix that the model does not accept.
    pub fn settle(&self, tally: &mut Tally, crowd: usize) -> Result<bool, PrefixError> {
        let best = tally.take_best(crowd);
        self.enclose_all(&best, tally)?;
        while tally.is_crowded(crowd) {
            if self.limits.expired() {
                return Ok(false);
            }
            let some = tally.take_open(crowd);
            self.enclose_all(&some, tally)?;
        }
        Ok(true)
    }

    /// Sees prefixes, ordered by their length, with all digits.
    fn enclose_all(&self, prefixes: &[Vec<TokenId>], tally: &mut Tally) -> Result<(), PrefixError> {
        let same_length = prefixes.chunk_by(|a, b| a.len() == b.len());
        let chunks: Vec<&[Vec<TokenId>]> = same_length.flat_map(|all| all.chunks(LANES)).collect();
        let floors = tally.floors();
        let enclosed = chunks.par_iter().map(|chunk| {
            let mut part = self.question.start();
            self.enclose(chunk, &floors, &mut part).map(|()| part)
        });
        enclosed.collect::<Result<Vec<_>, _>>()?.into_iter().for_each(|part| tally.merge(part));
        Ok(())
    }

    /// Sees up to sixteen prefixes of the same length with all digits.
    fn enclose(
        &self,
        prefixes: &[Vec<TokenId>],
        floors: &[f64],
        tally: &mut Tally,
    ) -> Result<(), PrefixError> {
        let mut packet = batch::Packet::<Wide>::default();
        let mut logits = None;
        self.again.fetch_add(prefixes.iter().map(Vec::len).sum(), Ordering::Relaxed);
        if let Some(network) = self.network {
            let len = prefixes[0].len();
            let token = |l: usize, position: usize| prefixes[l.min(prefixes.len() - 1)][position];
            for position in 0..len {
                let tokens = from_fn(|l| token(l, position));
                logits = network.extend(&mut packet, tokens, position + 1 == len);
            }
        }
        let lanes = from_fn(|l| prefixes.get(l).map(Vec::as_slice));
        self.see_all::<Wide>(lanes, logits, floors, tally)
    }

    /// Goes on from sixteen beginnings, whose lanes of `packet` they are. `false` if the limits ended it.
    fn descend<N: Number>(
        &self,
        packet: &batch::Packet<N>,
        nodes: &[Beginning],
        floors: &[f64],
        tally: &mut Tally,
    ) -> Result<bool, PrefixError> {
        // Those that something goes on from, and the others.
        let mut children: [Vec<(usize, Beginning)>; 2] = [Vec::new(), Vec::new()];
        for (lane, node) in nodes.iter().enumerate() {
            for (token, state) in self.tree.next(node.state, node.tokens.len()) {
                let tokens = [node.tokens.as_slice(), &[token]].concat();
                let goes_on = self.tree.goes_on(state, tokens.len());
                children[usize::from(!goes_on)].push((lane, Beginning { tokens, state }));
            }
        }
        let [inner, ends] = children;
        for chunk in inner.chunks(LANES) {
            if self.limits.expired() {
                return Ok(false);
            }
            let longer = self.go_on(packet, chunk, floors, tally)?;
            let nodes: Vec<Beginning> = chunk.iter().map(|(_, node)| node.clone()).collect();
            if !self.descend(&longer, &nodes, floors, tally)? {
                return Ok(false);
            }
        }
        if self.plan == Plan::Digits {
            for chunk in ends.chunks(LANES) {
                if self.limits.expired() {
                    return Ok(false);
                }
                self.go_on(packet, chunk, floors, tally)?;
            }
            return Ok(true);
        }
        let rounded = packet.rounded();
        // The packet of the last chunk: the next one often goes on from the same beginnings.
        let mut chosen: Option<([usize; LANES], batch::Packet<Lanes>)> = None;
        // What floats say too little about.
        let mut vague: Vec<(usize, Beginning)> = Vec::new();
        for chunk in ends.chunks(LANES) {
            if self.limits.expired() {
                return Ok(false);
            }
            let (lanes, tokens) = last_step(chunk);
            let logits = self.network.and_then(|network| {
                let mut packet = match chosen.take() {
                    Some((same, packet)) if same == lanes => packet,
                    _ => rounded.select(lanes),
                };
                chosen = Some((lanes, packet.clone()));
                network.extend(&mut packet, tokens, true)
            });
            let nodes: Vec<Beginning> = chunk.iter().map(|(_, node)| node.clone()).collect();
            let unknown = self.see(self.members(&nodes), logits, VAGUE, (ENOUGH, floors), tally);
            vague.extend(unknown.into_iter().map(|l| chunk[l].clone()));
            while vague.len() >= LANES {
                let rest = vague.split_off(LANES);
                self.go_on(packet, &vague, floors, tally)?;
                vague = rest;
            }
            self.settle(tally, CROWD)?;
        }
        if !vague.is_empty() {
            self.go_on(packet, &vague, floors, tally)?;
        }
        Ok(true)
    }

    /// One step from the lanes of a packet; takes note of the members, and returns what they leave behind.
    fn go_on<N: Number>(
        &self,
        packet: &batch::Packet<N>,
        chunk: &[(usize, Beginning)],
        floors: &[f64],
        tally: &mut Tally,
    ) -> Result<batch::Packet<N>, PrefixError> {
        let nodes: Vec<Beginning> = chunk.iter().map(|(_, node)| node.clone()).collect();
        let (lanes, tokens) = last_step(chunk);
        let (mut longer, mut logits) = (batch::Packet::default(), None);
        if let Some(network) = self.network {
            longer = packet.select(lanes);
            logits = network.extend(&mut longer, tokens, self.any_accepted(&nodes));
        }
        self.see_all::<N>(self.members(&nodes), logits, floors, tally)?;
        Ok(longer)
    }

    fn any_accepted(&self, nodes: &[Beginning]) -> bool {
        nodes.iter().any(|node| self.tree.accepts(node.state))
    }

    /// One prefix a lane, where the beginning is a member.
    fn members<'n>(&self, nodes: &'n [Beginning]) -> [Option<&'n [TokenId]>; LANES] {
        let mut lanes = [None; LANES];
        for (lane, node) in lanes.iter_mut().zip(nodes) {
            *lane = self.tree.accepts(node.state).then_some(node.tokens.as_slice());
        }
        lanes
    }

    /// Takes note of one prefix a lane; returns the lanes in which logits are not known to within `most`.
    fn see(
        &self,
        lanes: [Option<&[TokenId]>; LANES],
        logits: Option<batch::Logits>,
        most: f64,
        with: (f64, &[f64]),
        tally: &mut Tally,
    ) -> Vec<usize> {
        let Some(batch::Logits { middles, mut radius }) = logits else {
            return (0..LANES).filter(|&l| lanes[l].is_some()).collect();
        };
        radius.iter_mut().filter(|r| !(**r <= most)).for_each(|r| *r = f64::INFINITY);
        tally.see_lanes(self.question, (middles, &radius), lanes, with)
    }

    /// The same; what is not known well enough is evaluated with more digits.
    fn see_all<N: Number>(
        &self,
        lanes: [Option<&[TokenId]>; LANES],
        logits: Option<batch::Logits>,
        floors: &[f64],
        tally: &mut Tally,
    ) -> Result<(), PrefixError> {
        let all_digits = N::EPS <= Wide::EPS || self.network.is_none();
        let (most, enough) = if all_digits { (LOOSE, f64::INFINITY) } else { (VAGUE, ENOUGH) };
        let unknown = self.see(lanes, logits, most, (enough, floors), tally);
        let prefixes: Vec<Vec<TokenId>> =
            unknown.into_iter().filter_map(|l| lanes[l].map(<[_]>::to_vec)).collect();
        if all_digits {
            for prefix in &prefixes {
                tally.see(self.question, &rigorous::logits(self.model, prefix)?, prefix);
            }
        } else if !prefixes.is_empty() {
            self.enclose(&prefixes, floors, tally)?;
        }
        Ok(())
    }
}

impl Plan {
    /// Those that may do, the cheapest first: judged by what is known of the logits of sixteen of the longest prefixes. It is a
    /// guess; what floats say too little about is evaluated with more digits, and where that gets too much the next plan is better.
    pub fn all(network: &batch::Network<'_>, tree: &Tree<'_>) -> Vec<Plan> {
        let (mut state, mut len) = (0, 0);
        let mut steps: Vec<[TokenId; LANES]> = Vec::new();
        loop {
            let next = tree.next(state, len);
            let Some(&(_, target)) = next.first() else { break };
            let same = next.iter().filter(|(_, to)| *to == target).map(|(token, _)| *token);
            let tokens: Vec<TokenId> = same.collect();
            steps.push(from_fn(|l| tokens[l * tokens.len() / LANES]));
            (state, len) = (target, len + 1);
        }
        let Some((last, first)) = steps.split_last() else { return vec![Plan::Digits] };
        let is_near = |mut packet: batch::Packet<Lanes>| {
            let logits = network.extend(&mut packet, *last, true);
            logits.is_some_and(|logits| logits.radius.iter().all(|r| *r <= NEAR))
        };
        let last_only = is_near(beginning::<Wide>(network, first).rounded());
        let all_along = is_near(beginning(network, first));
        let usable = [(Plan::Floats, all_along), (Plan::FloatsLast, last_only), (Plan::Digits, true)];
        usable.into_iter().filter(|(_, usable)| *usable).map(|(plan, _)| plan).collect()
    }

    /// Part of all steps that are taken with more digits from the start.
    pub fn share(self, tree: &Tree<'_>) -> f64 {
        match self {
            Plan::Floats => 0.0,
            Plan::FloatsLast => tree.before_last() / tree.nodes(),
            Plan::Digits => 1.0,
        }
    }
}

/// What these steps leave behind.
fn beginning<N: Number>(network: &batch::Network<'_>, steps: &[[TokenId; LANES]]) -> batch::Packet<N> {
    let mut packet = batch::Packet::default();
    for tokens in steps {
        network.extend(&mut packet, *tokens, false);
    }
    packet
}

/// Lanes that a chunk goes on from, and its last tokens; the last one stands in for those that are missing.
fn last_step(chunk: &[(usize, Beginning)]) -> ([usize; LANES], [TokenId; LANES]) {
    let at = |l: usize| &chunk[l.min(chunk.len() - 1)];
    (from_fn(|l| at(l).0), from_fn(|l| at(l).1.tokens.last().copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelFolder, Vocab};
    use crate::search::Aim;
    use crate::spec::Language;
    use crate::spec::language::Automaton;

    #[test]
    fn all_plans_find_the_same_extremes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/moby-l1");
        let model = ModelFolder::open(&folder).unwrap().load().unwrap();
        let network = batch::Network::new(&model, 3).unwrap();
        let language = Language::parse("any · [id:0-20] · [id:7]", &Vocab::numbered(81)).unwrap();
        let automaton = Automaton::new(&language, 81).unwrap();
        let tree = Tree::new(&automaton, 3, 1024.0);
        let question = Question::Probabilities(&[3, 40], Aim::Narrow { gap: 0.0 });
        let found = [Plan::Floats, Plan::FloatsLast, Plan::Digits].map(|plan| {
            let (again, limits) = (AtomicUsize::new(0), Limits::default());
            let worker = Worker {
                model: &model,
                network: Some(&network),
                tree: &tree,
                plan,
                question,
                again: &again,
                limits: &limits,
            };
            let mut tally = question.start();
            for unit in tree.units() {
                tally.merge(worker.run(&unit, &tally.floors()).unwrap().unwrap());
            }
            // Ended early, it loses nothing.
            limits.request_stop();
            let all = worker.settle(&mut tally, 0).unwrap();
            assert_eq!(all, !tally.is_crowded(0));
            let worker = Worker { limits: &Limits::default(), ..worker };
            assert!(worker.settle(&mut tally, 0).unwrap() && !tally.is_crowded(0));
            assert!(again.into_inner() == 0 || plan != Plan::Digits, "digits leave nothing open");
            tally
        });
        for (i, exact) in found[2].all.iter().enumerate() {
            for tally in &found {
                let own = &tally.all[i];
                assert!(own.open.is_empty() && own.floor() <= exact.upper && exact.floor() <= own.upper);
                assert!(own.upper - own.floor() < 1e-9);
            }
        }
        let shares = [Plan::Floats, Plan::FloatsLast, Plan::Digits].map(|plan| plan.share(&tree));
        // Of 81 · (1 + 21 · 2) steps the last 81 · 21 are those that floats take.
        assert_eq!(shares, [0.0, 22.0 / 43.0, 1.0]);
    }
}
