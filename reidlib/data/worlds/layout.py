"""Column numbers of the plain float64 arrays that the kernels read: looks, states, parts, arenas, cameras, lights."""

# look (LOOK_SIZE,): one person's appearance, see people.py. Lengths in m.
(STATURE, GIRTH, SHOULDER, LEG, ARM, HEAD_SIZE, HAIR_STYLE, BEARD, HEADBAND, SLEEVE_LEFT, SLEEVE_RIGHT, WRIST_LEFT,
 WRIST_RIGHT, TIGHTS_LEFT, TIGHTS_RIGHT, SOCK_HEIGHT, REFEREE, DIGIT_ONE, DIGIT_TWO, STROKE, PATTERN, SHORTS_LENGTH,
 UNDERSHIRT, HOLDS_BALL) = range(24)
(SKIN, HAIR, JERSEY, TRIM, SHORTS, NUMBER, OUTLINE, SHOE, SOLE, SOCK, SLEEVE, BAND, BALL) = range(24, 63, 3)   # rgb
LOOK_SIZE = 63

BALD, SHORT, FLAT, AFRO, LONG, BUN = range(6)                          # hair styles
PLAIN, SIDES, CHEST_BAND, PINSTRIPES, YOKE = range(5)                # jersey patterns

# state (STATE_SIZE,): one person at one time, see motion.py. World metres, m/s and radians.
(X, Y, HEADING, VX, VY, PHASE, CROUCH, LEAN, TWIST, HEAD_YAW, STANCE, RAISE_LEFT, RAISE_RIGHT, ABDUCT_LEFT,
 ABDUCT_RIGHT, ELBOW_LEFT, ELBOW_RIGHT, BOUNCE) = range(18)
STATE_SIZE = 18

# part (PART_SIZE,): an anisotropically scaled round cone. INVERSE: rows of the 3x3 map from world metres to the local
# frame in which the part is round, axis along local z from 0 to LENGTH, radii R0 and R1.
INVERSE, ORIGIN, LENGTH, R0, R1, MATERIAL, PERSON, SIDE = 0, 9, 12, 13, 14, 15, 16, 17
END0, REACH0, END1, REACH1 = 18, 21, 22, 25                            # world end points and bounding radii, m
SCALE = 26                                                             # metres per local unit along local x, y, z
BOX = 29                                                               # u0, u1, v0, v1 on the image plane
PART_SIZE = 33
PARTS_PER_PERSON = 22
(HEAD, HAIR_PIECE, FLESH, CHEST, PELVIS, UPPER_ARM, FOREARM, SHORTS_LEG, THIGH, SHIN, FOOT, SPHERE, PROP,
 CALF, NOTHING) = range(15)

# camera (4, 3): position, right, up, forward. Image plane at distance 1: u to the right, v upwards.
# view (VIEW_SIZE,): the window that is rendered, see film.py.
U0, V0, DU, DV = range(4)                                              # left and top edge, size of a sample
VIEW_SIZE = 4

# light (LIGHT_SIZE,): direction to the light, ambient share, diffuse share.
LIGHT_DIRECTION, AMBIENT, DIFFUSE = 0, 3, 4
LIGHT_SIZE = 5

# arena (ARENA_SIZE,): colours (rgb 0..255) and numbers of one game's hall, see people.py.
(WOOD, PAINT, APRON, LINE, ARC_TINT, FAN, STEP, WALL) = range(0, 24, 3)
BOARD = 24                                                             # eight board colours
CROWD_DENSITY, CROWD_LIGHT, CROWD_SEED, BOARD_HEIGHT, FAN_SHARE, PANEL_WIDTH, GLOSS = range(48, 55)
ARENA_SIZE = 55
