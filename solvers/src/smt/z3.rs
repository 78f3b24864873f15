//! z3 in this process. Its context belongs to the thread.

use dashu_int::IBig;
use z3::ast::{Bool, Real, atmost};
use z3::{SatResult, Solver};

use super::{Answer, Atom, Formula, Relation, WrongVersion};

/// The bindings number z3's operations as versions from this one on do.
const LEAST_VERSION: (u32, u32) = (5, 3);

pub fn check_version() -> Result<(), WrongVersion> {
    let found = z3::full_version().to_string();
    // "Z3 5.4.1.0 ..." or "5.4.1.0".
    let number = found.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let mut parts = number.unwrap_or_default().split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= LEAST_VERSION { Ok(()) } else { Err(WrongVersion { found }) }
}

pub fn decide(formula: &Formula) -> Answer {
    let variables: Vec<Real> = (0..formula.variables).map(|_| Real::fresh_const("x")).collect();
    let solver = Solver::new_for_logic("QF_LRA").unwrap_or_default();
    for fact in &formula.asserted {
        solver.assert(atom(&variables, fact));
    }
    for (most, atoms) in &formula.at_most {
        let atoms: Vec<Bool> = atoms.iter().map(|a| atom(&variables, a)).collect();
        solver.assert(atmost(&atoms, u32::try_from(*most).unwrap_or(u32::MAX)));
    }
    match solver.check() {
        SatResult::Unsat => Answer::Unsatisfiable,
        SatResult::Unknown => Answer::Unknown,
        SatResult::Sat => {
            let Some(model) = solver.get_model() else { return Answer::Unknown };
            let value = |variable: &Real| model.eval(variable, true).map(|value| value.approx_f64());
            variables.iter().map(value).collect::<Option<_>>().map_or(Answer::Unknown, Answer::Satisfiable)
        }
    }
}

fn atom(variables: &[Real], atom: &Atom) -> Bool {
    let term = |&(variable, coefficient): &(usize, f64)| &variables[variable] * exactly(coefficient);
    let terms: Vec<Real> = atom.terms.iter().map(term).collect();
    let sum = if terms.is_empty() { exactly(0.0) } else { Real::add(&terms) };
    let rhs = exactly(atom.rhs);
    match atom.relation {
        Relation::AtLeast => sum.ge(rhs),
        Relation::Above => sum.gt(rhs),
        Relation::Equal => sum.eq(rhs),
    }
}

/// The rational number that a finite float is.
fn exactly(x: f64) -> Real {
    assert!(x.is_finite(), "only finite numbers are rational");
    let bits = x.abs().to_bits();
    let (exponent, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
    // x = mantissa · 2^power; subnormal numbers have no leading one.
    let (mantissa, power) =
        if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let mantissa = IBig::from(mantissa) * if x < 0.0 { -1 } else { 1 };
    let two = |n: i32| IBig::ONE << n.max(0) as usize;
    let (numerator, denominator): (IBig, IBig) = (mantissa * two(power), two(-power));
    Real::from_rational_str(&numerator.to_string(), &denominator.to_string())
        .expect("z3 reads fractions of decimal integers")
}
