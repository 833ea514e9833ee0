//! A kernel's arguments: one definition for the recording, the CPU implementation and the test that compares them with the shader.

/// A member of the WGSL struct `Args`: one 32-bit word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub scalar: Scalar,
}

/// The type of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// `u32`
    Uint,
    /// `f32`
    Float,
}

/// A Rust type that corresponds to a [`Scalar`].
pub(crate) trait Is: bytemuck::Pod {
    /// The corresponding scalar.
    const SCALAR: Scalar;
}

impl Is for u32 {
    const SCALAR: Scalar = Scalar::Uint;
}

impl Is for f32 {
    const SCALAR: Scalar = Scalar::Float;
}

/// Defines a kernel's arguments in the order of the shader's `Args`: the struct `Args` of their values, with `Args::LIST` of [`Argument`]s and the
/// constructor `Args::of(words)`; and the struct `Words` of what a recording stores for each, which converts to the `args` of a dispatch.
macro_rules! args {
    ($($(#[$doc:meta])* $name:ident: $scalar:ty),+ $(,)?) => {
        // Some are read only by the shader.
        #[allow(dead_code)]
        #[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        struct Args {
            $($(#[$doc])* $name: $scalar),+
        }

        impl Args {
            const LIST: &[$crate::kernel::Argument] = &[$($crate::kernel::Argument {
                name: stringify!($name),
                scalar: <$scalar as $crate::kernel::Is>::SCALAR,
            }),+];

            /// Decodes one word per argument.
            #[inline]
            fn of(words: &[u32]) -> Self {
                *bytemuck::from_bytes(bytemuck::cast_slice(words))
            }
        }

        struct Words {
            $($name: $crate::kernel::Word),+
        }

        impl From<Words> for Vec<$crate::kernel::Word> {
            fn from(words: Words) -> Self {
                vec![$(words.$name),+]
            }
        }
    };
}

pub(crate) use args;
