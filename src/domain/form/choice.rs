//! Discrete alternatives as forms: one of some vectors, each known up to roundings.

use ndarray::Array2;

use super::{Form, Group, Shape, Symbols, worse};
use crate::num::nonnegative_sum;

impl Form {
    /// One of several symbol-free forms of the same width (at least one).
    #[must_use]
    pub fn choice(vertices: &[Form], symbols: &mut Symbols) -> Form {
        let group = symbols.fresh(Shape::Choice, vertices.len());
        Form::choice_of(vertices, group)
    }

    fn choice_of(vertices: &[Form], group: Group) -> Form {
        let width = vertices[0].width();
        let of =
            |f: fn(f64, f64) -> f64, i: usize| vertices.iter().map(|v| v.mid[i]).fold(vertices[0].mid[i], f);
        // Any centre will do; the middle of each entry's range makes them symmetric.
        let mid: Vec<f64> = (0..width).map(|i| of(f64::min, i) / 2.0 + of(f64::max, i) / 2.0).collect();
        let rows = Array2::from_shape_fn((vertices.len(), width), |(k, i)| vertices[k].mid[i] - mid[i]);
        let err = (0..width)
            .map(|i| {
                let own = vertices.iter().map(|v| v.err[i]).fold(0.0, worse);
                let size = vertices.iter().map(|v| v.mid[i].abs()).fold(0.0, worse) + mid[i].abs();
                nonnegative_sum(own + f64::EPSILON * size)
            })
            .collect();
        Form::enclosed(mid, err).with_group(group, rows)
    }

    /// If the form is a choice and nothing else, `f` of every alternative as the same choice.
    #[must_use]
    pub fn each_alternative(&self, f: impl Fn(Form) -> Form) -> Option<Form> {
        let [group @ Group { shape: Shape::Choice, .. }] = self.groups.as_slice() else { return None };
        let vertex = |k: usize| {
            let row = self.coef.row(k).to_vec();
            f(Form::enclosed(self.mid.clone(), self.err.clone()).shifted(&row))
        };
        let vertices: Vec<Form> = (0..group.size).map(vertex).collect();
        vertices.iter().all(|v| v.groups.is_empty()).then(|| Form::choice_of(&vertices, *group))
    }
}
