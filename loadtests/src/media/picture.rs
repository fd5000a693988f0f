//! The test picture: a scrolling and a sparkling texture, a ball, a clock for people, and a frame counter for
//! programs: 32 blocks along the upper edge, white for one, and under them the same inverted,
//! so that a damaged picture is not read as another number.

use openh264::formats::YUVSource;

/// Bits of the counter.
const BITS: usize = 32;
/// The counter's blocks are this part of the width, and begin this many blocks from the left.
const BLOCKS_ACROSS: usize = 40;
const FIRST_BLOCK: usize = 4;
/// Luma of zero and one. Away from the limits of studio range, which codecs may clip to.
const DARK: u8 = 24;
const LIGHT: u8 = 228;
/// Luma closer than this to the middle is nothing that was drawn.
const UNSURE: i32 = 40;
/// Length of the texture before it repeats; a prime, so that rows don't line up.
const TEXTURE: usize = 1021;

/// A picture in I420 that is drawn anew for every frame.
pub struct Picture {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    texture: Vec<u8>,
}

impl Picture {
    /// A picture of `width` × `height` pixels.
    ///
    /// # Panics
    /// When a side is odd or too small for the counter: 320 × 180 is the least.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        assert!(
            width >= 320 && height >= 180 && width.is_multiple_of(2) && height.is_multiple_of(2),
            "a test picture has even sides of at least 320 × 180 pixels"
        );
        let chroma = width / 2 * (height / 2);
        let mut picture = Self {
            width,
            height,
            y: vec![90; width * height],
            u: vec![128; chroma],
            v: vec![128; chroma],
            texture: texture(),
        };
        picture.draw_colours();
        picture
    }

    /// Draws frame number `counter`; `seconds` is what the clock shows.
    pub fn draw(&mut self, counter: u32, seconds: f64) {
        let (width, height) = (self.width, self.height);
        self.y.fill(90);
        // What scrolls can be predicted from the frame before, what sparkles can't: together
        // they take as many bits as a moving teacher does.
        self.draw_texture(height * 5 / 8, height * 13 / 16, counter as usize * 2);
        let sparkle = counter.wrapping_mul(0x9e37_79b9) as usize >> 8;
        self.draw_texture(height * 13 / 16, height * 15 / 16, sparkle);
        let ball = height / 12;
        let x = bounce(counter as usize * 5, width - 4 * ball) + 2 * ball;
        let y = bounce(counter as usize * 3, height / 4) + height / 4 + ball;
        self.draw_ball(x, y, ball);
        self.draw_clock(seconds);
        self.draw_counter(counter);
    }

    fn draw_colours(&mut self) {
        let (across, down) = (self.width / 2, self.height / 2);
        for row in 0..down {
            for column in 0..across {
                let at = row * across + column;
                self.u[at] = (80 + 96 * column / across) as u8;
                self.v[at] = (176 - 96 * row / down) as u8;
            }
        }
    }

    fn draw_texture(&mut self, top: usize, bottom: usize, shift: usize) {
        for row in top..bottom {
            let line = &mut self.y[row * self.width..(row + 1) * self.width];
            for (column, pixel) in line.iter_mut().enumerate() {
                *pixel = self.texture[(column + row * 37 + shift) % TEXTURE];
            }
        }
    }

    fn draw_ball(&mut self, x: usize, y: usize, radius: usize) {
        for row in y.saturating_sub(radius)..(y + radius).min(self.height) {
            let dy = row.abs_diff(y);
            let half = ((radius * radius).saturating_sub(dy * dy) as f64).sqrt() as usize;
            let (left, right) = (x.saturating_sub(half), (x + half).min(self.width));
            self.y[row * self.width + left..row * self.width + right].fill(200);
        }
    }

    fn draw_clock(&mut self, seconds: f64) {
        let tenths = (seconds * 10.0) as u64;
        let (minutes, rest) = (tenths / 600 % 100, tenths % 600);
        let text = format!("{minutes:02}:{:02}.{}", rest / 10, rest % 10);
        let dot = self.height / 60;
        let mut left = self.width / 2 - text.len() * 2 * dot;
        for glyph in text.chars() {
            let top = self.height / 4;
            for (row, bits) in glyph_rows(glyph).iter().enumerate() {
                for column in 0..3 {
                    if bits & (4 >> column) != 0 {
                        self.fill(left + column * dot, top + row * dot, dot, dot, 235);
                    }
                }
            }
            left += 4 * dot;
        }
    }

    fn draw_counter(&mut self, counter: u32) {
        let block = self.width / BLOCKS_ACROSS;
        for bit in 0..BITS {
            let one = counter >> (BITS - 1 - bit) & 1 == 1;
            let (above, below) = if one { (LIGHT, DARK) } else { (DARK, LIGHT) };
            let left = (FIRST_BLOCK + bit) * block;
            self.fill(left, 0, block, block, above);
            self.fill(left, block, block, block, below);
        }
    }

    fn fill(&mut self, left: usize, top: usize, width: usize, height: usize, luma: u8) {
        for row in top..(top + height).min(self.height) {
            let from = row * self.width + left;
            self.y[from..from + width].fill(luma);
        }
    }
}

impl YUVSource for Picture {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }
    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }
    fn y(&self) -> &[u8] {
        &self.y
    }
    fn u(&self) -> &[u8] {
        &self.u
    }
    fn v(&self) -> &[u8] {
        &self.v
    }
}

/// Reads the counter off a decoded picture's luma plane; `None` when it can't be told.
#[must_use]
pub fn read_counter(picture: &impl YUVSource) -> Option<u32> {
    let (width, _) = picture.dimensions();
    let (stride, _, _) = picture.strides();
    let block = width / BLOCKS_ACROSS;
    let mut counter = 0;
    for bit in 0..BITS {
        let left = (FIRST_BLOCK + bit) * block;
        let above = bit_of(picture.y(), stride, left, 0, block)?;
        let below = bit_of(picture.y(), stride, left, block, block)?;
        if above == below {
            return None;
        }
        counter = counter << 1 | u32::from(above);
    }
    Some(counter)
}

/// Light or dark, by the inner half of a block.
fn bit_of(luma: &[u8], stride: usize, left: usize, top: usize, block: usize) -> Option<bool> {
    let (margin, inner) = (block / 4, block / 2);
    let mut sum = 0;
    for row in top + margin..top + margin + inner {
        let from = row * stride + left + margin;
        sum += luma.get(from..from + inner)?.iter().map(|&p| i32::from(p)).sum::<i32>();
    }
    let mean = sum / (inner * inner) as i32;
    let middle = i32::from(LIGHT / 2 + DARK / 2);
    if (mean - middle).abs() < UNSURE { None } else { Some(mean > middle) }
}

/// Goes from 0 to `span` and back, as `step` grows.
fn bounce(step: usize, span: usize) -> usize {
    let at = step % (2 * span);
    if at < span { at } else { 2 * span - at }
}

/// Grey values with the smoothness of a photograph.
fn texture() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut level = 128_i32;
    (0..TEXTURE)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            level = (level + (state % 61) as i32 - 30).clamp(40, 215);
            level as u8
        })
        .collect()
}

/// Three dots across, five down, the left one the highest bit.
fn glyph_rows(glyph: char) -> [u8; 5] {
    match glyph {
        '0' => [7, 5, 5, 5, 7],
        '1' => [2, 6, 2, 2, 7],
        '2' => [7, 1, 7, 4, 7],
        '3' => [7, 1, 7, 1, 7],
        '4' => [5, 5, 7, 1, 1],
        '5' => [7, 4, 7, 1, 7],
        '6' => [7, 4, 7, 5, 7],
        '7' => [7, 1, 2, 2, 2],
        '8' => [7, 5, 7, 5, 7],
        '9' => [7, 5, 7, 1, 7],
        ':' => [0, 2, 0, 2, 0],
        '.' => [0, 0, 0, 0, 2],
        _ => [0; 5],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_read_off_the_picture() {
        for (width, height) in [(640, 360), (1280, 720), (320, 180)] {
            let mut picture = Picture::new(width, height);
            for counter in [0, 1, 0xdead_beef, u32::MAX] {
                picture.draw(counter, 61.5);
                assert_eq!(read_counter(&picture), Some(counter), "{width}×{height}");
            }
        }
    }

    #[test]
    fn a_damaged_picture_has_no_counter() {
        let mut picture = Picture::new(640, 360);
        picture.draw(7, 0.0);
        picture.fill(80, 0, 16, 16, 128);
        assert_eq!(read_counter(&picture), None);
    }
}
