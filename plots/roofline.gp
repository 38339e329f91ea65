# SPDX-License-Identifier: MIT
# Rate of operations against their intensity, under the ceilings of their device.
load PLOTS.'/common.gp'

set logscale y 10
set format y '%.10g'
set border 15
set grid xtics ytics back lt 1 lw 0.5 lc rgb FAINT
set label 2 'Intensity (MAC/byte)' at screen X_TITLE_X, X_TITLE_Y center textcolor rgb INK
set label 3 'Rate (GMAC/s)' at screen Y_TITLE_X - 0.012, Y_TITLE_Y center rotate by 90 textcolor rgb INK

do for [i = 1:words(LINE_TEXT)] {
    set arrow i from real(word(LINES, 6 * i - 5)), real(word(LINES, 6 * i - 4)) to real(word(LINES, 6 * i - 3)), real(word(LINES, 6 * i - 2)) nohead back lc rgb GUIDE lw 1.2
    ANGLE = real(word(LINES, 6 * i - 4)) == real(word(LINES, 6 * i - 2)) ? 0 : LINE_ANGLE
    set label 400 + i word(LINE_TEXT, i) at real(word(LINES, 6 * i - 1)), real(word(LINES, 6 * i)) right rotate by ANGLE textcolor rgb '#7f7f7f' font FONT.','.GUIDE_SIZE back
}

plot DATA using 'x':'y':'size':'under' with points ps variable pt variable lc rgb '#ffffff', \
     DATA using 'x':'y':'size':'shape':'colour' with points ps variable pt variable lw 1.3 lc rgb variable
