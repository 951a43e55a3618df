"""Column numbers of the arrays that the kernels of this world read, beyond those of reidlib.data.worlds.layout."""

from reidlib.data.worlds import layout as at

# look (LOOK_SIZE,): the columns of a player, of which JERSEY, TRIM and SHORTS hold the colours of top, its second
# colour and bottom, then these. Lengths of sleeves in arm segments and of cloth on legs in leg segments, 0..2.
(SLEEVES, LEG_CLOTH, HEM, GOWN, TOP_END, PRINT, PITCH, OPEN, STRIPE, BAG, BAG_SIDE, HAT, HOOD) = range(
    at.LOOK_SIZE, at.LOOK_SIZE + 13)
(INNER, BAG_COLOUR, HAT_COLOUR) = range(at.LOOK_SIZE + 13, at.LOOK_SIZE + 22, 3)                          # rgb
LOOK_SIZE = at.LOOK_SIZE + 22

PLAIN, BANDS, PINSTRIPES, CHECKS, LOGO, BLOCK, RAGLAN = range(7)       # PRINT, PITCH: its period in m
NO_GOWN, SKIRT, COAT = range(3)                                        # GOWN: what hangs down to HEM, in which colour
NO_BAG, BACKPACK, SHOULDER_BAG, CARRIER_BAG = range(4)
NO_HAT, CAP, BEANIE = range(3)

# parts: those of a player, then what pedestrians wear. Further materials.
(GOWN_PART, BACKPACK_PART, BAG_PART, HAT_PART, BRIM_PART, HOOD_PART) = range(at.PARTS_PER_PERSON,
                                                                            at.PARTS_PER_PERSON + 6)
PARTS_PER_PERSON = at.PARTS_PER_PERSON + 6
(BAGS, HATS, HOODS) = range(at.NOTHING + 1, at.NOTHING + 4)

# place (PLACE_SIZE,): what a camera films, see places.py. Metres; across: from the lane, away from the camera.
(FOCUS_X, FOCUS_Y, AXIS_X, AXIS_Y, ACROSS_X, ACROSS_Y, CROSSING, WALL, WALL_KIND, WALL_HEIGHT, FAR, SEED) = range(12)
BANDS_OF_GROUND = 5
EDGE = 12                                   # where band k ends, BANDS_OF_GROUND - 1 numbers
BAND = EDGE + BANDS_OF_GROUND - 1           # of each band: kind, then rgb
(WALL_COLOUR, WALL_TRIM, SKY) = range(BAND + 4 * BANDS_OF_GROUND, BAND + 4 * BANDS_OF_GROUND + 9, 3)
PLACE_SIZE = SKY + 3
ASPHALT, TILES, COBBLES, GRASS, GRAVEL = range(5)                      # kinds of ground
NO_WALL, BRICK, FACADE, HEDGE, PANELS = range(5)

# response (RESPONSE_SIZE,): how a camera renders colours.
GAIN, GAMMA, SATURATION, VEIL = 0, 3, 4, 5
RESPONSE_SIZE = 6
