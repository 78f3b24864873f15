//! Tests of the forms.

use super::{Form, Shape};

/// A member of a group made from arbitrary numbers in `[−1, 1]`.
pub fn member_of(shape: Shape, x: &[f64]) -> Vec<f64> {
    match shape {
        Shape::Box => x.to_vec(),
        Shape::Ball => {
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
            x.iter().map(|x| x / length.max(1.0)).collect()
        }
        Shape::Choice => {
            let k = x.iter().enumerate().fold(0, |best, (i, v)| if *v > x[best] { i } else { best });
            (0..x.len()).map(|i| if i == k { 1.0 } else { 0.0 }).collect()
        }
    }
}

/// Entry `i` of the member of a form that its symbols `e` name, but for its error.
pub fn value_at(form: &Form, e: &[f64], i: usize) -> f64 {
    form.mid[i] + form.coef.column(i).iter().zip(e).map(|(c, e)| c * e).sum::<f64>()
}
