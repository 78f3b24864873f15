//! Languages as text, with token ids in place of texts, so that they read back for the same model.

use std::fmt;

use super::{Language, TokenSet};

/// How tightly a part has to hold together where it stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Union,
    Sequence,
    Atom,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Language::Any => f.write_str("any"),
            // Alone, `any` would be every prefix.
            Language::Set(set) if *set == TokenSet::all() => f.write_str("any{1}"),
            other => write(other, Binding::Union, f),
        }
    }
}

impl fmt::Display for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids without end are no ids of a model.
        let inverted = self.contains(u32::MAX);
        let listed = if inverted { self.complement() } else { self.clone() };
        if listed.is_empty() {
            return f.write_str(if inverted { "any" } else { "[]" });
        }
        f.write_str(if inverted { "[^id:" } else { "[id:" })?;
        for (i, (first, last)) in listed.ranges().iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        f.write_str("]")
    }
}

fn write(language: &Language, binding: Binding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let own = match language {
        Language::Any | Language::Repeat { .. } => Binding::Sequence,
        Language::Set(_) => Binding::Atom,
        Language::Seq(parts) | Language::Union(parts) if parts.is_empty() => Binding::Atom,
        Language::Seq(parts) | Language::Union(parts) if parts.len() == 1 => {
            return write(&parts[0], binding, f);
        }
        Language::Seq(_) => Binding::Sequence,
        Language::Union(_) => Binding::Union,
    };
    if own < binding {
        f.write_str("(")?;
        write(language, Binding::Union, f)?;
        return f.write_str(")");
    }
    match language {
        Language::Any => f.write_str("any+"),
        Language::Set(set) => write!(f, "{set}"),
        Language::Seq(parts) if parts.is_empty() => f.write_str("()"),
        Language::Union(parts) if parts.is_empty() => f.write_str("[]"),
        Language::Seq(parts) => joined(parts, " · ", Binding::Sequence, f),
        Language::Union(parts) => joined(parts, " | ", Binding::Union, f),
        Language::Repeat { of, min, max } => {
            write(of, Binding::Atom, f)?;
            match (min, max) {
                (0, None) => f.write_str("*"),
                (1, None) => f.write_str("+"),
                (0, Some(1)) => f.write_str("?"),
                (min, None) => write!(f, "{{{min},}}"),
                (min, Some(max)) if min == max => write!(f, "{{{min}}}"),
                (min, Some(max)) => write!(f, "{{{min},{max}}}"),
            }
        }
    }
}

fn joined(parts: &[Language], by: &str, binding: Binding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    parts.iter().enumerate().try_for_each(|(i, part)| {
        f.write_str(if i > 0 { by } else { "" })?;
        write(part, binding, f)
    })
}
