# SPDX-License-Identifier: MIT
# Decode throughput against power; a point on a diagonal has that many tokens per joule.
load PLOTS.'/common.gp'

set logscale y 10
set format y '%.10g'
set border 15
set grid xtics ytics back lt 1 lw 0.5 lc rgb FAINT
set label 2 'Power (W)' at screen X_TITLE_X, X_TITLE_Y center textcolor rgb INK
set label 3 'Throughput (tokens/s)' at screen Y_TITLE_X, Y_TITLE_Y center rotate by 90 textcolor rgb INK

do for [i = 1:words(LINE_TEXT)] {
    set arrow i from real(word(LINES, 6 * i - 5)), real(word(LINES, 6 * i - 4)) to real(word(LINES, 6 * i - 3)), real(word(LINES, 6 * i - 2)) nohead back lc rgb GUIDE lw 0.8 dt (6, 4)
    set label 400 + i word(LINE_TEXT, i) at real(word(LINES, 6 * i - 1)), real(word(LINES, 6 * i)) right rotate by LINE_ANGLE textcolor rgb '#7f7f7f' font FONT.','.GUIDE_SIZE back
}

plot DATA using 'x':'y':'x_low':'x_high':'y_low':'y_high':'colour' with xyerrorbars pt 0 lw 0.8 lc rgb variable, \
     DATA using 'x':'y':'size':'under' with points ps variable pt variable lc rgb '#ffffff', \
     DATA using 'x':'y':'size':'shape':'colour' with points ps variable pt variable lw 1.3 lc rgb variable, \
     DATA using 'x':'y':'inner_size':'inner':'colour' with points ps variable pt variable lw 1.3 lc rgb variable
