//! Random numbers for simulations.

/// xorshift64*, independent of the crate's own generator.
pub(crate) struct Rng(pub(crate) u64);

impl Default for Rng {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Rng {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn toss(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }
}
