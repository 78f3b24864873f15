//! The exact real functions of recurrent layers, enclosed. Each adds its output to the residuals `x` of all positions.

use dashu_int::IBig;
use dashu_ratio::RBig;

use crate::elementary::{exp_nonpositive, sigmoid};
use crate::family::Norm;
use crate::forward::{dot, normalised, sum};
use crate::interval::Interval;
use crate::linear::Vector;
use crate::recurrent::{Blend, ChannelMix, Narrow, Shifted, Wkv4, Wkv7};
use crate::reject::Reject;

/// The residual stream: per position `[d]`.
type Residuals = [Vec<Interval>];

impl Blend {
    fn of(&self, z: &[Vec<Interval>; 2]) -> Vector {
        let [to, from] = if self.is_of_current { [&z[1], &z[0]] } else { [&z[0], &z[1]] };
        let blend = |((to, from), share): ((&Interval, &Interval), &Interval)| to + &(&(from - to) * share);
        Vector::new(&to.iter().zip(from).zip(&self.share).map(blend).collect::<Vec<_>>())
    }
}

impl Shifted {
    fn apply(&self, z: &[Vec<Interval>; 2]) -> Vec<Interval> {
        self.1.apply(&self.0.of(z))
    }
}

impl Narrow {
    fn apply(&self, z: &[Vec<Interval>; 2], act: impl Fn(&Interval) -> Interval) -> Vec<Interval> {
        let middle: Vec<Interval> = self.1.apply(&self.0.of(z)).iter().map(act).collect();
        self.2.apply(&Vector::new(&middle))
    }
}

/// `(z_t, z_{t−1})` for every position `t`.
fn pairs(norm: &Norm, x: &Residuals) -> Result<Vec<[Vec<Interval>; 2]>, Reject> {
    let z = x.iter().map(|x| normalised(Some(norm), x)).collect::<Result<Vec<_>, _>>()?;
    let before = |t: usize| z.get(t.wrapping_sub(1)).cloned();
    let zero = |t: usize| vec![Interval::from_int(0); z[t].len()];
    Ok((0..z.len()).map(|t| [z[t].clone(), before(t).unwrap_or_else(|| zero(t))]).collect())
}

fn product(x: &[Interval], y: &[Interval]) -> Vec<Interval> {
    x.iter().zip(y).map(|(x, y)| x * y).collect()
}

/// `e^x`, increasing: by its value at the lower end for `x <= 0`, by the reciprocal's for the rest.
fn exp(x: &Interval) -> Result<Interval, Reject> {
    let end = |n: &IBig| {
        let x = Interval::from_ends(n.clone(), n.clone());
        if *n <= IBig::ZERO {
            Ok(exp_nonpositive(&x))
        } else {
            Interval::from_int(1).divide(&exp_nonpositive(&-x), "an exponential")
        }
    };
    Ok(Interval::from_ends(end(x.lo())?.lo().clone(), end(x.hi())?.hi().clone()))
}

/// A sum of weighted values and the sum of their weights, both to be multiplied by `e^score`.
#[derive(Debug, Clone)]
struct Weighted {
    score: Interval,
    values: Interval,
    weights: Interval,
}

impl Weighted {
    fn plus(&self, other: &Weighted) -> Weighted {
        let most = self.score.hi().max(other.score.hi()).clone();
        let score = Interval::from_ends(most.clone(), most);
        let [a, b] = [self, other].map(|part| exp_nonpositive(&(&part.score - &score)));
        let sum = |x: &Interval, y: &Interval| &(&a * x) + &(&b * y);
        let (values, weights) = (sum(&self.values, &other.values), sum(&self.weights, &other.weights));
        Weighted { score, values, weights }
    }
}

pub(crate) fn wkv4(layer: &Wkv4, x: &mut Residuals) -> Result<(), Reject> {
    let rates: Vec<Interval> = layer.decay.iter().map(exp).collect::<Result<_, _>>()?;
    let mut sums: Vec<Weighted> = Vec::new();
    for (z, x) in pairs(&layer.norm, x)?.iter().zip(x) {
        let [receptance, key, value] = layer.maps.each_ref().map(|map| map.apply(z));
        let (mut mixed, mut next) = (Vec::new(), Vec::new());
        for (i, value) in value.iter().enumerate() {
            let one = |score| Weighted { score, values: value.clone(), weights: Interval::from_int(1) };
            let (mut seen, mut kept) = (one(&key[i] + &layer.first[i]), one(key[i].clone()));
            if let Some(sums) = sums.get(i) {
                seen = seen.plus(sums);
                kept = kept.plus(&Weighted { score: &sums.score - &rates[i], ..sums.clone() });
            }
            mixed.push(seen.values.divide(&seen.weights, "a weighted average")? * sigmoid(&receptance[i]));
            next.push(kept);
        }
        sums = next;
        *x = sum(x, &layer.output.apply(&Vector::new(&mixed)));
    }
    Ok(())
}

/// `first` holds the values of the first such layer at every position, once that has run.
pub(crate) fn wkv7(layer: &Wkv7, x: &mut Residuals, first: &mut Vec<Vec<Interval>>) -> Result<(), Reject> {
    let one = Interval::from_int(1);
    let slowest = exp_nonpositive(&Interval::rational(&RBig::from_parts(IBig::from(-1), 2_u32.into())));
    let shortest = Interval::rational(&RBig::from_parts(IBig::ONE, 1_000_000_000_000_u64.into()));
    let size = layer.head_dim;
    let mut state: Vec<Vec<Interval>> = vec![vec![Interval::from_int(0); size]; layer.bonus.len()];
    for (t, (z, x)) in pairs(&layer.norm, x)?.iter().zip(x).enumerate() {
        let [reading, key, mut value] = layer.maps.each_ref().map(|map| map.apply(z));
        let tanh = |x: &Interval| {
            let s = sigmoid(&(x + x));
            &(&s + &s) - &one
        };
        let of_decay = |x: &Interval| exp_nonpositive(&-(&slowest * &sigmoid(x)));
        let decay: Vec<Interval> = layer.decay.apply(z, tanh).iter().map(of_decay).collect();
        let rate: Vec<Interval> = layer.rate.apply(z, Interval::clone).iter().map(sigmoid).collect();
        let gate = layer.gate.apply(z, sigmoid);
        match (&layer.first_value, first.get(t)) {
            (Some(blend), Some(first)) => {
                for (i, share) in blend.apply(z, Interval::clone).iter().enumerate() {
                    value[i] = &value[i] + &(&(&first[i] - &value[i]) * &sigmoid(share));
                }
            }
            _ => first.push(value.clone()),
        }
        let mut removed = product(&key, &layer.key_scale);
        for head in removed.chunks_exact_mut(size) {
            let length = head.iter().map(Interval::square).sum::<Interval>().sqrt();
            let length = Interval::from_ends(
                length.lo().max(shortest.lo()).clone(),
                length.hi().max(shortest.hi()).clone(),
            );
            for x in head {
                *x = x.divide(&length, "a direction")?;
            }
        }
        let scale = |(a, r): (&Interval, &Interval)| &one + &(&(a - &one) * r);
        let key = product(&key, &rate.iter().zip(&layer.key_rate).map(scale).collect::<Vec<_>>());
        let replaced = product(&removed, &rate);
        let mut mixed = Vec::new();
        for (i, row) in state.iter_mut().enumerate() {
            let head = i / size * size..(i / size + 1) * size;
            let along = dot(row, &removed[head.clone()]);
            for (cell, j) in row.iter_mut().zip(head.clone()) {
                *cell = &(&(&*cell * &decay[j]) - &(&along * &replaced[j])) + &(&value[i] * &key[j]);
            }
            mixed.push(dot(row, &reading[head]));
        }
        let (gain, shift, epsilon) = &layer.group;
        let mut out = Vec::new();
        for (h, head) in mixed.chunks_exact(size).enumerate() {
            let d = Interval::from_int(size);
            let mean = head.iter().cloned().sum::<Interval>().divide(&d, "a norm")?;
            let centred: Vec<Interval> = head.iter().map(|x| x - &mean).collect();
            let square = centred.iter().map(Interval::square).sum::<Interval>().divide(&d, "a norm")?;
            let root = (&square + epsilon).sqrt();
            let own: Interval =
                (h * size..(h + 1) * size).map(|j| &(&reading[j] * &key[j]) * &layer.bonus[j]).sum();
            for (x, j) in centred.iter().zip(h * size..) {
                let y = &(x.divide(&root, "a norm")? * gain[j].clone()) + &shift[j];
                out.push(&(&y + &(&own * &value[j])) * &gate[j]);
            }
        }
        *x = sum(x, &layer.output.apply(&Vector::new(&out)));
    }
    Ok(())
}

pub(crate) fn channel_mix(layer: &ChannelMix, x: &mut Residuals) -> Result<(), Reject> {
    for (z, x) in pairs(&layer.norm, x)?.iter().zip(x) {
        let hidden: Vec<Interval> = layer.key.apply(z).iter().map(|k| k.positive_part().square()).collect();
        let out = layer.value.apply(&Vector::new(&hidden));
        let out = match &layer.receptance {
            None => out,
            Some(r) => product(&out, &r.apply(z).iter().map(sigmoid).collect::<Vec<_>>()),
        };
        *x = sum(x, &out);
    }
    Ok(())
}
