CREATE INDEX idx_cart_items_cart ON cart_items (cart_id);
